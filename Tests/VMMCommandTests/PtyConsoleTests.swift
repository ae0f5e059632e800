import Glibc
import HostSystem
import Synchronization
import Testing

@testable import VMMCommand

@Suite(.timeLimit(.minutes(10))) struct PtyConsoleTests {
  private let guest = FakeGuest()

  private func attach(_ console: PtyConsole) throws -> Int32 {
    try OutputFile.open(console.path, O_RDWR | O_NOCTTY | O_CLOEXEC, named: "pts").release()
  }

  @Test func programsComeAndGo() throws {
    let printed = Mutex("")
    let console = try PtyConsole(print: { text in printed.withLock { $0 = text } })
    #expect(printed.withLock { $0 } == "the serial port is \(console.path)")
    try console.start(input: guest.take)
    defer { console.stop() }
    for round in 1...3 {
      console.write(Array("lost".utf8))
      let program = try attach(console)
      console.write(Array("login: \n".utf8))
      #expect(read(8, from: program) == Array("login: \n".utf8), "unchanged, round \(round)")
      write([1, UInt8(ascii: "x"), 13, 3], to: program)
      #expect(guest.waits(for: 4 * round))
      close(program)
      usleep(150_000)
    }
    #expect(guest.bytes == [1, 0x78, 13, 3, 1, 0x78, 13, 3, 1, 0x78, 13, 3])
  }

  @Test func nobodyAttachedHoldsUpNothing() throws {
    let console = try PtyConsole(print: { _ in })
    try console.start(input: guest.take)
    let start = HostClock.monotonicNanoseconds()
    for _ in 0..<100 { console.write(pattern(10_000)) }
    #expect(HostClock.monotonicNanoseconds() - start < 5_000_000_000)
    console.stop()
    #expect(guest.offerCount == 0, "output does not come back as input")
  }

  @Test func aProgramThatDoesNotReadHoldsUpOnlyOnce() throws {
    let console = try PtyConsole(print: { _ in })
    try console.start(input: guest.take)
    let program = try attach(console)
    let start = HostClock.monotonicNanoseconds()
    for _ in 0..<100 { console.write(pattern(10_000)) }
    let elapsed = HostClock.monotonicNanoseconds() - start
    #expect((500_000_000..<8_000_000_000).contains(elapsed), "\(elapsed) ns")
    close(program)
    console.stop()
  }

  @Test func inputWaitsForTheGuest() throws {
    let console = try PtyConsole(print: { _ in })
    guest.setAppetite(3)
    try console.start(input: guest.take)
    let program = try attach(console)
    write(pattern(100), to: program)
    #expect(
      eventually {
        console.guestHasRoom()
        return guest.bytes.count == 100
      })
    #expect(guest.bytes == pattern(100))
    close(program)
    console.stop()
  }
}
