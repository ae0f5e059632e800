import Glibc
import KVM
import Testing

@testable import VMMCommand

/// Output whose reader has gone, as in `vmm-run … | head`: a failed write, and no SIGPIPE.
@Suite(
  .enabled(if: Program.canRun, "needs vmm-run beside the tests"),
  .enabled(if: (try? KVMSystem()) != nil, "needs read-write /dev/kvm"), .timeLimit(.minutes(10)))
struct GoneReaderTests {
  /// Output, and what the program says about it: once, and nothing else.
  private func run(_ line: String) throws -> (Program.End, errors: String) {
    let output = try TestPipe()
    let error = try TestPipe()
    output.closeReader()
    let program = try Program(
      line, output: .descriptor(output.writer), error: .descriptor(error.writer))
    output.closeWriter()
    error.closeWriter()
    let text = String(decoding: readToEnd(from: error.reader), as: UTF8.self)
    return (program.wait(), text)
  }

  private static let message =
    "vmm-run: cannot write standard output: Broken pipe (EPIPE)\n"

  @Test func aFlatProgramGoesOn() throws {
    let directory = try TemporaryDirectory()
    let code =
      TestGuest.print("anybody there?\n", to: TestGuest.debugPort)
      + TestGuest.out(TestGuest.exitPort, 7)
    try directory.write(code + TestGuest.wait, to: "program")
    let (end, errors) = try run("run --program \(directory.path("program"))")
    #expect(end == .status(7))
    #expect(errors == Self.message)
  }

  @Test func aKernelGoesOn() throws {
    let directory = try TemporaryDirectory()
    let code = TestGuest.print("anybody there?\n") + TestGuest.powerOff
    try directory.write(TestGuest.kernel(code), to: "kernel")
    let (end, errors) = try run("run --memory 64M --kernel \(directory.path("kernel"))")
    #expect(end == .status(0))
    #expect(errors.hasPrefix(Self.message))
  }

  @Test(arguments: ["--version", "check", "demo --memory 16M", "demo --memory 16M --json"])
  func aResultThatNobodyReadsIsAFailure(line: String) throws {
    let (end, errors) = try run(line)
    #expect(end == .status(1))
    #expect(errors == Self.message)
  }
}
