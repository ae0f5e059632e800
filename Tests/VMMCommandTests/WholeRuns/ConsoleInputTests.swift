import Glibc
import HostSystem
import KVM
import Testing

@testable import VMMCommand

/// What is typed, piped and pasted reaches a guest's serial port, all of it.
@Suite(
  .enabled(if: Program.canRun, "needs vmm-run beside the tests"),
  .enabled(if: (try? KVMSystem()) != nil, "needs read-write /dev/kvm"), .serialized,
  .timeLimit(.minutes(10)))
struct ConsoleInputTests {
  /// Not in `pattern`.
  private static let end: UInt8 = 4
  private static let patience: Int32 = 60_000
  private let directory: TemporaryDirectory
  private let line: String

  init() throws {
    directory = try TemporaryDirectory()
    try directory.write(
      TestGuest.kernel(TestGuest.echo(until: Self.end, then: TestGuest.powerOff)), to: "kernel")
    line = "run --memory 64M --kernel \(directory.path("kernel"))"
  }

  /// Writes bytes and reads them back; nobody waits for the other for long.
  private func echo(_ byteCount: Int, by writer: Int32, and reader: Int32) throws -> Bool {
    // The serial port is on by then; what came before its FIFO was emptied is lost as on hardware.
    guard read(1, from: reader, patienceMilliseconds: Self.patience) == [0x21] else {
      Issue.record("the guest does not start")
      return false
    }
    let thread = try ConsoleThread { write(pattern(byteCount) + [Self.end], to: writer) }
    let echo = read(byteCount, from: reader, patienceMilliseconds: Self.patience)
    thread.join()
    return echo == pattern(byteCount)
  }

  @Test(arguments: [6000, 200_000]) func aPipe(byteCount: Int) throws {
    let input = try TestPipe()
    let output = try TestPipe()
    let program = try Program(
      line, input: .descriptor(input.reader), output: .descriptor(output.writer))
    #expect(try echo(byteCount, by: input.writer, and: output.reader))
    #expect(program.endsByItself() && program.end == .status(0))
  }

  @Test(arguments: [6000, 50_000]) func aPaste(byteCount: Int) throws {
    let terminal = try PseudoTerminal()
    let program = try Program(line, terminal: terminal.path)
    #expect(try echo(byteCount, by: terminal.controller, and: terminal.controller))
    #expect(program.endsByItself() && program.end == .status(0))
  }

  @Test func aPseudoTerminalOfItsOwn() throws {
    let errors = try TestPipe()
    let program = try Program(line + " --serial pty", error: .descriptor(errors.writer))
    errors.closeWriter()
    let announcement = String(
      decoding: read(1, from: errors.reader, patienceMilliseconds: Self.patience), as: UTF8.self)
    let path = try #require(announcement.split(whereSeparator: \.isWhitespace).last)
    let terminal = try OutputFile.open(
      String(path), O_RDWR | O_NOCTTY | O_CLOEXEC, named: "pts"
    ).release()
    defer { close(terminal) }
    // What the guest said before there was a reader is lost; so it is asked. Of what a terminal
    // holds, a quarter at a time: a reader that is slow loses the rest after a second.
    var echo: [UInt8] = []
    for start in stride(from: 0, to: 20_000, by: 1000) {
      write(Array(pattern(20_000)[start..<(start + 1000)]), to: terminal)
      while echo.count < start + 990 {
        let more = read(1, from: terminal, patienceMilliseconds: Self.patience)
        if more.isEmpty { break }
        echo += more
      }
    }
    write([Self.end], to: terminal)
    while echo.count < 20_000 + (echo.first == 0x21 ? 1 : 0) {
      let more = read(1, from: terminal, patienceMilliseconds: Self.patience)
      if more.isEmpty { break }
      echo += more
    }
    // Its first byte may have come before the FIFO was on.
    let tail = echo.suffix(19_000)
    #expect(tail.count == 19_000 && tail.elementsEqual(pattern(20_000).suffix(19_000)))
    #expect(program.endsByItself() && program.end == .status(0))
  }

  /// Typed before the guest is there, and while it is made again: it waits.
  @Test func betweenTwoLives() throws {
    // Prints, waits for a byte, and resets; in the second life too.
    let code = TestGuest.echo(until: Self.end, then: TestGuest.reset)
    try directory.write(TestGuest.kernel(code), to: "kernel")
    let input = try TestPipe()
    let output = try TestPipe()
    let program = try Program(
      line, input: .descriptor(input.reader), output: .descriptor(output.writer))
    for life in 1...4 {
      let greeting = read(1, from: output.reader, patienceMilliseconds: Self.patience)
      #expect(greeting == [0x21], "life \(life)")
      write([0x61, 0x62, Self.end], to: input.writer)
      #expect(
        read(2, from: output.reader, patienceMilliseconds: Self.patience).starts(with: [0x61, 0x62])
      )
    }
    program.send(SIGTERM)
    #expect(program.endsByItself() && program.end == .status(128 + SIGTERM))
  }
}
