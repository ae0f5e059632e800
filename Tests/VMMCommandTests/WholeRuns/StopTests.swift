import Glibc
import HostSystem
import KVM
import Testing

@testable import VMMCommand

/// Signals to whole runs: the first one is always heard, whatever the run is doing.
@Suite(
  .enabled(if: Program.canRun, "needs vmm-run beside the tests"),
  .enabled(if: (try? KVMSystem()) != nil, "needs read-write /dev/kvm"), .serialized,
  .timeLimit(.minutes(10)))
struct StopTests {
  private let directory: TemporaryDirectory
  private let output: TestPipe

  init() throws {
    directory = try TemporaryDirectory()
    output = try TestPipe()
    // F_SETPIPE_SZ: full soon, however slow the guest.
    try #require(fcntl(output.writer, 1031, 8192) >= 0)
  }

  /// `vmm-run run` with a kernel of this code.
  private func runKernel(
    _ code: [UInt8], _ options: String = "--memory 64M", error: Program.Stream = .null
  ) throws -> Program {
    try directory.write(TestGuest.kernel(code), to: "kernel")
    return try Program(
      "run --kernel \(directory.path("kernel")) \(options)",
      output: .descriptor(output.writer), error: error)
  }

  private func runProgram(_ code: [UInt8], _ options: String = "") throws -> Program {
    try directory.write(code, to: "program")
    return try Program(
      "run --program \(directory.path("program")) \(options)",
      output: .descriptor(output.writer))
  }

  private func waitUntilFull(_ writer: Int32) {
    let isFull = eventually(seconds: 60) { OutputPatience.events(on: writer, within: 0) == 0 }
    #expect(isFull)
    // A last page takes more bytes, though poll(2) says that there is no room.
    usleep(500_000)
  }

  /// The end that a single signal led to.
  private func end(_ program: Program) -> Program.End? {
    program.endsByItself() ? program.wait() : nil
  }

  @Test(arguments: [SIGTERM, SIGINT, SIGHUP])
  func aGuestThatRuns(signal: Int32) throws {
    let program = try runKernel(TestGuest.print("!") + TestGuest.wait)
    #expect(read(1, from: output.reader, patienceMilliseconds: 60_000) == [0x21])
    program.send(signal)
    #expect(end(program) == .status(128 + signal))
  }

  /// A life of this machine is as short as its making, where the signal was lost.
  @Test(arguments: 0..<6) func aGuestThatResetsAllTheTime(round: Int) throws {
    let program = try runKernel(TestGuest.print("!") + TestGuest.reset)
    #expect(
      read(2 + round, from: output.reader, patienceMilliseconds: 60_000).count >= 2 + round)
    program.send(SIGTERM)
    #expect(end(program) == .status(128 + SIGTERM))
  }

  /// Once the guest has been asked to switch itself off, a reset is as good as an end.
  @Test func aGuestThatResetsWhenAskedToSwitchOff() throws {
    // Says that it listens; in eax, 0x600; test ah, 1; jz back, until PM1_STS.PWRBTN_STS; resets.
    let poll: [UInt8] = [0x66, 0xBA, 0x00, 0x06, 0xED, 0xF6, 0xC4, 0x01, 0x74, 0xF6]
    let code = TestGuest.listen + TestGuest.print("!") + poll + TestGuest.reset
    let program = try runKernel(code)
    #expect(read(1, from: output.reader, patienceMilliseconds: 60_000) == [0x21])
    program.send(SIGTERM)
    #expect(end(program) == .status(128 + SIGTERM))
    #expect(readAll(from: output.reader).isEmpty, "no second life")
  }

  /// At some moment of its start; before it waits for signals they end it as they end any program.
  @Test(arguments: [0, 20, 100, 200, 400, 800])
  func aMachineThatIsBeingMade(milliseconds: UInt32) throws {
    let program = try runKernel(TestGuest.wait, "--memory 1G --prealloc")
    usleep(milliseconds * 1000)
    program.send(SIGTERM)
    let end = end(program)
    #expect(end == .status(128 + SIGTERM) || end == .signal(SIGTERM))
  }

  @Test func aSerialPortWhoseReaderHasStopped() throws {
    let program = try runKernel(TestGuest.repeating(TestGuest.print("0123456789abcdef")))
    waitUntilFull(output.writer)
    program.send(SIGTERM)
    #expect(end(program) == .status(128 + SIGTERM))
  }

  @Test func aSerialPortIntoAPipeOfANameWhoseReaderHasStopped() throws {
    let fifo = directory.path("fifo")
    try #require(unsafe mkfifo(fifo, 0o600) == 0)
    let reader = try OutputFile.open(fifo, O_RDWR | O_NONBLOCK | O_CLOEXEC, named: fifo).release()
    defer { close(reader) }
    let program = try runKernel(
      TestGuest.repeating(TestGuest.print("0123456789abcdef")),
      "--memory 64M --serial file:\(fifo)")
    waitUntilFull(reader)
    program.send(SIGTERM)
    #expect(end(program) == .status(128 + SIGTERM))
  }

  @Test func aDebugConsoleWhoseReaderHasStopped() throws {
    let program = try runProgram(
      TestGuest.repeating(TestGuest.print("0123456789abcdef", to: TestGuest.debugPort)))
    waitUntilFull(output.writer)
    program.send(SIGTERM)
    #expect(end(program) == .status(128 + SIGTERM))
  }

  @Test func aTraceWhoseReaderHasStopped() throws {
    let fifo = directory.path("fifo")
    try #require(unsafe mkfifo(fifo, 0o600) == 0)
    let reader = try OutputFile.open(fifo, O_RDWR | O_NONBLOCK | O_CLOEXEC, named: fifo).release()
    defer { close(reader) }
    let program = try runProgram(TestGuest.hypercalls, "--trace-hypercalls \(fifo)")
    waitUntilFull(reader)
    program.send(SIGTERM)
    #expect(end(program) == .status(128 + SIGTERM))
  }

  /// What the run has to say has no reader either.
  @Test func messagesWhoseReaderHasStopped() throws {
    let errors = try TestPipe()
    // A pipe that is full before anything is said.
    _ = fcntl(errors.writer, F_SETFL, O_NONBLOCK)
    var writer = PatientWriter(
      descriptor: errors.writer, name: "pipe", policy: .loses(patienceMilliseconds: 0),
      neverBlocks: true)
    #expect(writer.write(pattern(1 << 20)) == .lost)
    _ = fcntl(errors.writer, F_SETFL, 0)
    let program = try runKernel(
      TestGuest.print("!") + TestGuest.wait, error: .descriptor(errors.writer))
    #expect(read(1, from: output.reader, patienceMilliseconds: 60_000) == [0x21])
    program.send(SIGTERM)
    #expect(end(program) == .status(128 + SIGTERM))
  }

  @Test func aResultWhoseReaderHasStopped() throws {
    _ = fcntl(output.writer, F_SETFL, O_NONBLOCK)
    var writer = PatientWriter(
      descriptor: output.writer, name: "pipe", policy: .loses(patienceMilliseconds: 0),
      neverBlocks: true)
    #expect(writer.write(pattern(1 << 20)) == .lost)
    _ = fcntl(output.writer, F_SETFL, 0)
    let program = try Program(
      "demo --memory 16M --json", output: .descriptor(output.writer))
    // Its guest is long done by then, on most machines; if not, it is stopped.
    usleep(1_500_000)
    program.send(SIGTERM)
    #expect(end(program) == .status(128 + SIGTERM))
  }

  /// The power button for a guest that listens; the second signal is the end for one that does
  /// nothing.
  @Test func theSecondSignalEndsTheRun() throws {
    let program = try runKernel(
      TestGuest.listen + TestGuest.repeating(TestGuest.print("!")))
    #expect(!read(1, from: output.reader, patienceMilliseconds: 60_000).isEmpty)
    program.send(SIGTERM)
    // It goes on: some pipes full.
    #expect(read(20_000, from: output.reader).count >= 20_000)
    // Later than one that is taken for the same.
    usleep(700_000)
    program.send(SIGTERM)
    #expect(end(program) == .status(128 + SIGTERM))
  }

  /// Who waits for the guest to switch itself off waits no longer when the terminal is gone.
  @Test func aHangUpAfterThePowerButton() throws {
    let errors = try TestPipe()
    let program = try runKernel(
      TestGuest.listen + TestGuest.repeating(TestGuest.print("!")),
      error: .descriptor(errors.writer))
    errors.closeWriter()
    #expect(!read(1, from: output.reader, patienceMilliseconds: 60_000).isEmpty)
    program.send(SIGTERM)
    #expect(read(20_000, from: output.reader).count >= 20_000)
    program.send(SIGHUP)
    program.send(SIGHUP)
    #expect(end(program) == .status(128 + SIGTERM))
    let text = String(decoding: readToEnd(from: errors.reader), as: UTF8.self)
    #expect(text.hasPrefix("vmm-run: the guest did not ask"), "in order: \(text)")
  }

  @Test func aTraceThatIsNotCompleteIsAFailureOnlyOfASuccess() throws {
    for (status, expected) in [(0, 1), (7, 7)] as [(UInt8, Int32)] {
      let program = try runProgram(
        TestGuest.hypercall(then: TestGuest.out(TestGuest.exitPort, status) + TestGuest.wait),
        "--trace-hypercalls /dev/full")
      #expect(program.wait() == .status(expected))
    }
  }
}
