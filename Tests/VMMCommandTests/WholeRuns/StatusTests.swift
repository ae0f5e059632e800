import Glibc
import KVM
import Testing

@testable import VMMCommand

/// SIGUSR1 and Ctrl-A i to whole runs, in their sandbox.
@Suite(
  .enabled(if: Program.canRun, "needs vmm-run beside the tests"),
  .enabled(if: (try? KVMSystem()) != nil, "needs read-write /dev/kvm"), .serialized,
  .timeLimit(.minutes(10)))
struct StatusTests {
  private let directory: TemporaryDirectory
  private let output: TestPipe
  private let messages: TestPipe

  init() throws {
    directory = try TemporaryDirectory()
    output = try TestPipe()
    messages = try TestPipe()
    try #require(fcntl(output.writer, 1031, 8192) >= 0)
  }

  private func runKernel(_ code: [UInt8], _ options: String = "") throws -> Program {
    try directory.write(TestGuest.kernel(code), to: "kernel")
    return try Program(
      "run --kernel \(directory.path("kernel")) --memory 64M \(options)",
      output: .descriptor(output.writer), error: .descriptor(messages.writer))
  }

  /// What arrives until a report is whole.
  ///
  /// - Parameter end: how it ends.
  private func report(to end: String = "tracked\n") -> String {
    var bytes: [UInt8] = []
    let isWhole = eventually(seconds: 60) {
      bytes += read(1 << 16, from: messages.reader, patienceMilliseconds: 100)
      return String(decoding: bytes, as: UTF8.self).contains(end)
    }
    #expect(isWhole)
    return String(decoding: bytes, as: UTF8.self)
  }

  private func end(_ program: Program) {
    program.send(SIGTERM)
    #expect(program.endsByItself() && program.wait() == .status(128 + SIGTERM))
  }

  @Test func aRunningGuestAsOftenAsOneLikes() throws {
    try directory.write([UInt8](repeating: 0, count: 1 << 20), to: "disk")
    let program = try runKernel(
      TestGuest.print("!") + TestGuest.wait, "--cpus 2 --disk \(directory.path("disk"))")
    #expect(read(1, from: output.reader, patienceMilliseconds: 60_000) == [0x21])
    for round in 0..<5 {
      program.send(SIGUSR1)
      let text = report()
      #expect(text.hasPrefix("vmm-run: vCPUs, and their exits since "), "\(text)")
      #expect(text.contains("since the start") == (round == 0))
      #expect(text.contains("  0  runs, no interrupts  0x10000"))
      #expect(text.contains("  1  not started"))
      #expect(text.contains("  disk0  not ready\n"))
      #expect(text.contains("  serial  0 bytes unread, IER 0x0, interrupt not raised\n"))
    }
    end(program)
  }

  @Test func aGuestThatHasHalted() throws {
    let program = try runKernel(TestGuest.print("!") + [0xFA, 0xF4])  // cli; hlt
    #expect(read(1, from: output.reader, patienceMilliseconds: 60_000) == [0x21])
    let hasHalted = eventually(seconds: 60) {
      program.send(SIGUSR1)
      return report().contains("  0  halted for good  0x10000")
    }
    #expect(hasHalted)
    end(program)
  }

  @Test func aGuestWhoseReaderHasStopped() throws {
    let program = try runKernel(TestGuest.repeating(TestGuest.print("0123456789abcdef")))
    let isFull = eventually(seconds: 60) {
      OutputPatience.events(on: output.writer, within: 0) == 0
    }
    #expect(isFull)
    let isBusy = eventually(seconds: 60) {
      program.send(SIGUSR1)
      return report().contains("  0  busy with port 0x3f8")
    }
    #expect(isBusy)
    end(program)
  }

  /// There may be no machine at the moment; the run goes on in any case.
  @Test func aGuestThatResetsAllTheTime() throws {
    let program = try runKernel(TestGuest.print("!") + TestGuest.reset)
    // Before its first life the signal may come sooner than the program itself.
    for _ in 0..<20 {
      try #require(read(1, from: output.reader, patienceMilliseconds: 60_000).count >= 1)
      program.send(SIGUSR1)
    }
    end(program)
    let text = String(decoding: readAll(from: messages.reader), as: UTF8.self)
    #expect(text.contains("vmm-run: vCPUs") || text.contains("vmm-run: no machine is running"))
  }

  @Test func aFlatProgram() throws {
    try directory.write(
      TestGuest.print("!", to: TestGuest.debugPort) + TestGuest.wait, to: "program")
    let program = try Program(
      "run --program \(directory.path("program")) --cpus 2", output: .descriptor(output.writer),
      error: .descriptor(messages.writer))
    #expect(read(1, from: output.reader, patienceMilliseconds: 60_000) == [0x21])
    program.send(SIGUSR1)
    let text = report()
    #expect(text.contains("  0  runs") && text.contains("  1  not started"), "\(text)")
    program.send(SIGUSR2)
    #expect(report(to: "display\n") == "vmm-run: a flat program has no display\n")
    program.send(__libc_current_sigrtmin())
    #expect(report(to: "drive\n") == "vmm-run: a flat program has no CD drive\n")
    end(program)
  }

  @Test func theOtherSignals() throws {
    for name in ["a", "b"] { try directory.write([UInt8](repeating: 1, count: 4096), to: name) }
    let program = try runKernel(
      TestGuest.print("!") + TestGuest.wait,
      "--cdrom \(directory.path("a")),next=\(directory.path("b"))")
    #expect(read(1, from: output.reader, patienceMilliseconds: 60_000) == [0x21])
    program.send(SIGUSR2)
    #expect(
      report(to: "FILE'\n") == "vmm-run: no screenshot: start with '--screenshot FILE'\n")
    program.send(SIGUSR1)
    let text = report()
    #expect(text.contains("  sata0  not started       0  CD drive, a medium is in\n"), "\(text)")
    for line in ["'\(directory.path("b"))' is in\n", "nothing is in\n"] {
      program.send(__libc_current_sigrtmin())
      #expect(report(to: line) == "vmm-run: cdrom0: \(line)")
    }
    end(program)
  }

  @Test func controlA() throws {
    let terminal = try PseudoTerminal()
    try directory.write(TestGuest.kernel(TestGuest.print("!") + TestGuest.wait), to: "kernel")
    let program = try Program(
      "run --kernel \(directory.path("kernel")) --memory 64M", terminal: terminal.path)
    var shown = ""
    func shows(_ text: String) -> Bool {
      eventually(seconds: 60) {
        let more = read(1, from: terminal.controller, patienceMilliseconds: 100)
        shown += String(decoding: more, as: UTF8.self)
        return shown.contains(text)
      }
    }
    #expect(shows("!"))
    write([1, UInt8(ascii: "i")], to: terminal.controller)
    #expect(shows("guest writes are tracked"))
    write([1, UInt8(ascii: "m")], to: terminal.controller)
    #expect(shows("vmm-run: there is no CD drive"))
    write([1, UInt8(ascii: "x")], to: terminal.controller)
    #expect(program.endsByItself() && program.wait() == .status(0))
  }
}
