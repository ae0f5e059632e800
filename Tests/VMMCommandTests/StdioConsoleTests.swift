import Glibc
import MachineSpecification
import Synchronization
import Testing

@testable import VMMCommand

@Suite(.timeLimit(.minutes(10))) struct StdioConsoleTests {
  private let guest = FakeGuest()
  private final class Printed: Sendable {
    let texts = Mutex<[String]>([])
  }
  private let printed = Printed()

  private func streams(input: Int32, output: Int32) -> StdioConsole.Streams {
    StdioConsole.Streams(
      input: input, output: output, survivesCrash: false, patience: OutputPatience(),
      print: { [printed] text in printed.texts.withLock { $0.append(text) } }, report: { _ in })
  }

  @Test func aTerminalIsRawMeanwhile() throws {
    let pty = try PseudoTerminal()
    let before = pty.localFlags
    let console = try StdioConsole(
      streams: streams(input: pty.descriptor, output: pty.descriptor), onQuit: {})
    #expect(pty.localFlags == before)
    try console.start(input: guest.take)
    #expect(pty.localFlags & tcflag_t(ECHO | ICANON | ISIG) == 0)
    // Ctrl-C, Ctrl-Z, Ctrl-D, return and Ctrl-S are for the guest.
    write([3, 26, 4, 13, 19] + Array("ls".utf8), to: pty.controller)
    #expect(guest.waits(for: 7))
    #expect(guest.bytes == [3, 26, 4, 13, 19, 0x6C, 0x73])
    console.write(Array("hello\n".utf8))
    #expect(read(7, from: pty.controller) == Array("hello\r\n".utf8), "no echo, and line breaks")
    console.stop()
    console.stop()
    #expect(pty.localFlags == before)
  }

  @Test func restoredByTheLastReferenceAndInAHurry() throws {
    let pty = try PseudoTerminal()
    let before = pty.localFlags
    let streams = streams(input: pty.descriptor, output: pty.descriptor)
    try StdioConsole(streams: streams, onQuit: {}).start(input: guest.take)
    #expect(pty.localFlags == before)
    let console = try StdioConsole(streams: streams, onQuit: {})
    try console.start(input: guest.take)
    console.restoreTerminal()
    #expect(pty.localFlags == before)
    console.stop()
  }

  @Test func keysForThisProgramEvenWhenTheGuestTakesNothing() throws {
    let pty = try PseudoTerminal()
    let quitCount = FakeGuest()
    guest.setAppetite(0)
    let console = try StdioConsole(
      streams: streams(input: pty.descriptor, output: pty.descriptor),
      onQuit: { _ = quitCount.take([1]) })
    try console.start(input: guest.take)
    for _ in 0..<10 { write(pattern(1000), to: pty.controller) }
    write([1], to: pty.controller)
    usleep(20_000)
    write(Array("h".utf8), to: pty.controller)
    #expect(eventually { printed.texts.withLock { $0 } == [EscapeFilter.helpText] })
    #expect(quitCount.offerCount == 0)
    write([1, UInt8(ascii: "x")], to: pty.controller)
    #expect(quitCount.waits(for: 1))
    console.stop()
    #expect(quitCount.bytes == [1] && guest.bytes.isEmpty)
  }

  @Test func quittingEndsAWaitForAReader() throws {
    let pty = try PseudoTerminal()
    let pipe = try TestPipe()
    let streams = streams(input: pty.descriptor, output: pipe.writer)
    let console = try StdioConsole(streams: streams, onQuit: {})
    try console.start(input: guest.take)
    let vcpu = try ConsoleThread { console.write(pattern(200_000)) }
    usleep(20_000)
    write([1, UInt8(ascii: "x")], to: pty.controller)
    vcpu.join()
    console.stop()
  }

  @Test func stopMayBeCalledOnQuit() throws {
    let pty = try PseudoTerminal()
    let before = pty.localFlags
    let console = Mutex<StdioConsole?>(nil)
    let stopped = FakeGuest()
    let made = try StdioConsole(
      streams: streams(input: pty.descriptor, output: pty.descriptor),
      onQuit: {
        console.withLock { $0 }?.stop()
        _ = stopped.take([1])
      })
    console.withLock { $0 = made }
    try made.start(input: guest.take)
    write([1, UInt8(ascii: "x")], to: pty.controller)
    #expect(stopped.waits(for: 1))
    #expect(pty.localFlags == before)
    made.stop()
  }

  @Test func aPipeIsPassedUnchangedAndMayEnd() throws {
    let input = try TestPipe()
    let output = try TestPipe()
    let console = try StdioConsole(
      streams: streams(input: input.reader, output: output.writer), onQuit: { Issue.record("quit") }
    )
    try console.start(input: guest.take)
    let bytes: [UInt8] = [1, UInt8(ascii: "x"), 1, 1, 3, 0, 10]
    write(bytes, to: input.writer)
    input.closeWriter()
    #expect(guest.waits(for: bytes.count))
    #expect(guest.bytes == bytes)
    console.write(Array("still here".utf8))
    #expect(read(10, from: output.reader) == Array("still here".utf8))
    console.stop()
  }

  /// What the guest does not take stays where it comes from.
  @Test(arguments: [6000, 1_000_000]) func aSlowGuestGetsAllOfAPipe(byteCount: Int) throws {
    let input = try TestPipe()
    guest.setAppetite(0)
    let console = try StdioConsole(
      streams: streams(input: input.reader, output: input.writer), onQuit: {})
    try console.start(input: guest.take)
    let writer = try ConsoleThread {
      write(pattern(byteCount), to: input.writer)
      input.closeWriter()
    }
    #expect(eventually { guest.offerCount == 1 })
    usleep(200_000)
    #expect(guest.offerCount == 1, "nobody asked again")
    guest.setAppetite(16)
    #expect(
      eventually(seconds: 60) {
        for _ in 0..<1000 { console.guestHasRoom() }
        return guest.bytes.count == byteCount
      })
    writer.join()
    console.stop()
    let isComplete = guest.bytes == pattern(byteCount)
    #expect(isComplete)
  }

  /// A paste arrives, though the guest took nothing while it was made, and keys are heard behind
  /// it.
  @Test func aPasteIsComplete() throws {
    let pty = try PseudoTerminal()
    guest.setAppetite(0)
    let console = try StdioConsole(
      streams: streams(input: pty.descriptor, output: pty.descriptor), onQuit: {})
    try console.start(input: guest.take)
    write(pattern(100_000), to: pty.controller)
    write([1, UInt8(ascii: "h")], to: pty.controller)
    #expect(eventually { printed.texts.withLock { $0 } == [EscapeFilter.helpText] })
    #expect(guest.bytes.isEmpty)
    guest.setAppetite(16)
    #expect(
      eventually(seconds: 60) {
        for _ in 0..<1000 { console.guestHasRoom() }
        return guest.bytes.count == 100_000
      })
    console.stop()
    let isComplete = guest.bytes == pattern(100_000)
    #expect(isComplete)
  }

  @Test func aReaderThatIsGoneDoesNotEndTheGuest() throws {
    // As VMMRun does.
    _ = signal(SIGPIPE, SIG_IGN)
    let input = try TestPipe()
    let output = try TestPipe()
    let reports = FakeGuest()
    var streams = streams(input: input.reader, output: output.writer)
    streams.report = { _ = reports.take([UInt8(truncatingIfNeeded: $0.code)]) }
    let console = try StdioConsole(streams: streams, onQuit: {})
    output.closeReader()
    console.write([1])
    console.write([2])
    #expect(reports.bytes == [UInt8(EPIPE)])
  }

  @Test func noDescriptorIsLeft() async {
    await #expect(processExitsWith: .exitCode(0)) {
      let pty = try PseudoTerminal()
      func openCount() -> Int { (0..<1024).filter { fcntl($0, F_GETFD) >= 0 }.count }
      let before = openCount()
      for _ in 0..<20 {
        let stdio = try StdioConsole(
          streams: .init(input: pty.descriptor, output: pty.descriptor), onQuit: {})
        try stdio.start { $0.count }
        stdio.stop()
        let other = try PtyConsole(print: { _ in })
        try other.start { $0.count }
        other.write([1])
        other.stop()
        try SerialSpec.file(LogFileSpec(file: "/dev/null")).makeConsole(onQuit: {}).stop()
      }
      // The runtime may open a few of its own meanwhile; a leak would be 20 at least.
      exit(openCount() < before + 10 ? 0 : 1)
    }
  }
}
