import KVM
import Testing

@testable import VMMCommand

/// Standard descriptors that are closed when `vmm-run` starts: no file of the run takes their
/// places.
@Suite(.enabled(if: Program.canRun, "needs vmm-run beside the tests"), .timeLimit(.minutes(10)))
struct ClosedDescriptorTests {
  /// Which of standard input, output and error are closed.
  static let combinations: [[Int]] = (0..<8).map { bits in (0..<3).filter { bits & 1 << $0 != 0 } }

  private func stream(_ number: Int, _ closed: [Int]) -> Program.Stream {
    closed.contains(number) ? .closed : .null
  }

  /// What this program says at the end went into the disk, where the kernel's file was opened
  /// before.
  @Test(
    .enabled(if: (try? KVMSystem()) != nil, "needs read-write /dev/kvm"), arguments: combinations)
  func aDiskStaysAsItIs(closed: [Int]) throws {
    let directory = try TemporaryDirectory()
    let disk = [UInt8](repeating: 0, count: 1 << 20)
    try directory.write(TestGuest.kernel(TestGuest.powerOff), to: "kernel")
    try directory.write(disk, to: "disk")
    let program = try Program(
      "run --kernel \(directory.path("kernel")) --memory 64M --serial none"
        + " --disk \(directory.path("disk"))",
      input: stream(0, closed), output: stream(1, closed), error: stream(2, closed))
    #expect(program.wait() == .status(0))
    #expect(try directory.bytes("disk") == disk)
  }

  /// What the guest prints went into the trace.
  @Test(
    .enabled(if: (try? KVMSystem()) != nil, "needs read-write /dev/kvm"), arguments: combinations)
  func aTraceHasItsLinesOnly(closed: [Int]) throws {
    let directory = try TemporaryDirectory()
    let code =
      TestGuest.print("for the console\n", to: TestGuest.debugPort)
      + TestGuest.out(TestGuest.exitPort, 7)
    try directory.write(code + TestGuest.wait, to: "program")
    let program = try Program(
      "run --program \(directory.path("program")) --trace-hypercalls \(directory.path("trace"))",
      input: stream(0, closed), output: stream(1, closed), error: stream(2, closed))
    #expect(program.wait() == .status(7))
    #expect(try directory.contents("trace") == "")
  }

  /// A result that nobody can get is a failure, as on a full disk.
  @Test func aResultForAClosedOutputIsAFailure() throws {
    let error = try TestPipe()
    let program = try Program("--version", output: .closed, error: .descriptor(error.writer))
    error.closeWriter()
    #expect(program.wait() == .status(1))
    #expect(
      String(decoding: readToEnd(from: error.reader), as: UTF8.self)
        == "vmm-run: cannot write standard output: Bad file descriptor (EBADF)\n")
  }

  @Test(arguments: combinations) func wrongUsageIsStillWrongUsage(closed: [Int]) throws {
    let program = try Program(
      "run --nonsense", input: stream(0, closed), output: stream(1, closed),
      error: stream(2, closed))
    #expect(program.wait() == .status(2))
  }
}
