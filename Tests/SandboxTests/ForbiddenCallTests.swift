import CLinux
import Glibc
import HostSystem
import TestSupport
import Testing

@testable import Sandbox

/// The kernel's own verdict, in processes that end by it.
@Suite(
  .serialized, .timeLimit(.minutes(10)),
  .enabled(if: SeccompFilter.isAvailable, "needs seccomp filters"),
  .disabled(if: Sanitizer.isActive, "a sanitizer asks the kernel for more"))
struct ForbiddenCallTests {
  @Test func killsWithALine() async throws {
    let result = try #require(
      await #expect(processExitsWith: .signal(SIGSYS), observing: [\.standardErrorContent]) {
        try enter(.vcpu)
        _ = socket(AF_INET, 1, 0)
        _exit(0)
      })
    #expect(
      String(decoding: result.standardErrorContent, as: UTF8.self).contains(
        """
        vmm-run: a vCPU thread asked for system call 41 (socket) with 0x2, 0x1, 0x0, which the \
        sandbox forbids; this is a bug, or a guest that broke in: run with --sandbox off to debug

        """))
  }

  @Test(
    arguments: [
      (.service, "vmm-run: a service thread asked for system call 41 (socket)"),
      (.vcpu, "vmm-run: a vCPU thread asked for system call 41 (socket)"),
      (.disk, "vmm-run: a disk thread asked for system call 41 (socket)"),
      (.viewer, "vmm-run: a viewer thread asked for system call 41 (socket)"),
      (.tpm, "vmm-run: a TPM thread asked for system call 41 (socket)"),
    ] as [(ThreadRole, String)])
  func namesTheThread(role: ThreadRole, line: String) async throws {
    let outcome = await #expect(
      processExitsWith: .signal(SIGSYS), observing: [\.standardErrorContent]
    ) { [number = role.rawValue as UInt16] in
      try enter(number: number)
      _ = socket(AF_INET, 1, 0)
      _exit(0)
    }
    let result = try #require(outcome)
    #expect(String(decoding: result.standardErrorContent, as: UTF8.self).contains(line))
  }

  /// A call that is allowed, with an argument that is not.
  @Test func tellsArguments() async throws {
    let result = try #require(
      await #expect(processExitsWith: .signal(SIGSYS), observing: [\.standardErrorContent]) {
        try enter(.vcpu)
        _ = unsafe mmap(nil, 0x5000, PROT_READ | PROT_EXEC, MAP_PRIVATE | 0x20, -1, 0)
        _exit(0)
      })
    #expect(
      String(decoding: result.standardErrorContent, as: UTF8.self).contains(
        "system call 9 (mmap) with 0x0, 0x5000, 0x5, which"))
  }

  @Test func threadsInheritTheFilter() async {
    await #expect(processExitsWith: .signal(SIGSYS)) {
      try enter(.service)
      var thread = pthread_t()
      unsafe pthread_create(
        &thread, nil,
        { _ in
          _ = socket(AF_INET, 1, 0)
          _exit(0)
        }, nil)
      pthread_join(thread, nil)
      _exit(0)
    }
  }

  /// What handled the signal before still comes, after the line.
  @Test func earlierHandlersFollow() async throws {
    let result = try #require(
      await #expect(processExitsWith: .exitCode(7), observing: [\.standardErrorContent]) {
        var action = sigaction()
        unsafe action.__sigaction_handler.sa_handler = { _ in _exit(7) }
        unsafe sigaction(SIGSYS, &action, nil)
        try enter(.disk)
        _ = fork()
        _exit(0)
      })
    #expect(
      String(decoding: result.standardErrorContent, as: UTF8.self).contains("a disk thread asked"))
  }

  @Test func ignoringTheSignalDoesNotHelp() async {
    await #expect(processExitsWith: .signal(SIGSYS)) {
      _ = signal(SIGSYS, SIG_IGN)
      try enter(.vcpu)
      _ = socket(AF_INET, 1, 0)
      _exit(0)
    }
  }

  @Test func blockingTheSignalDoesNotHelp() async {
    await #expect(processExitsWith: .signal(SIGSYS)) {
      try enter(.vcpu)
      var all = sigset_t()
      unsafe sigfillset(&all)
      unsafe pthread_sigmask(SIG_BLOCK, &all, nil)
      _ = socket(AF_INET, 1, 0)
      _exit(0)
    }
  }

  /// Memory in all sizes, locks, time, a trap's own words: what each thread of ours does.
  @Test(arguments: ThreadRole.allCases)
  func daily(role: ThreadRole) async {
    await #expect(processExitsWith: .exitCode(3)) { [number = role.rawValue as UInt16] in
      try enter(number: number)
      for count in [10, 10_000, 10_000_000] {
        var bytes = [UInt8](repeating: 1, count: count)
        bytes.append(contentsOf: bytes)
        guard bytes.last == 1 else { _exit(1) }
      }
      guard Set(0..<1000).count == 1000 else { _exit(1) }
      _ = ContinuousClock.now
      var line: [UInt8] = Array("daily\n".utf8)
      _ = unsafe write(STDERR_FILENO, &line, line.count)
      guard getpid() > 0 else { _exit(1) }
      _exit(3)
    }
  }

  /// Our own mistakes still say what they are, and end the process by their own signal.
  @Test func trapsStayTraps() async throws {
    let result = try #require(
      await #expect(processExitsWith: .signal(SIGILL), observing: [\.standardErrorContent]) {
        CrashSignals.useDefaultActions()
        try enter(.vcpu)
        fatalError("a mistake of ours")
      })
    let text = String(decoding: result.standardErrorContent, as: UTF8.self)
    #expect(text.contains("a mistake of ours"))
    #expect(!text.contains("sandbox forbids"))
  }
}

private func enter(number: UInt16) throws {
  guard let role = ThreadRole(rawValue: number) else { fatalError("role \(number)") }
  try enter(role)
}

/// The sandbox of a process with one role.
private func enter(_ role: ThreadRole) throws {
  try ForbiddenCallReport.install(
    program: "vmm-run: ", hint: "run with --sandbox off to debug")
  let sandbox = Sandbox(SandboxPolicy(), files: [])
  try sandbox.enterProcess()
  sandbox.enter(role)
}
