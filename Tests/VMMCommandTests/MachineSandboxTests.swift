import DeviceKit
import Devices
import Glibc
import HostSystem
import KVM
import MachineSpecification
import Sandbox
import TestSupport
import Testing
import VMM

@testable import VMMCommand

/// The sandbox of whole runs, in processes that cannot leave it.
@Suite(
  .enabled(if: (try? KVMSystem()) != nil, "needs read-write /dev/kvm"),
  .enabled(if: SeccompFilter.isAvailable, "needs seccomp filters"),
  .disabled(if: Sanitizer.isActive, "a sanitizer asks the kernel for more"), .serialized,
  .timeLimit(.minutes(10)))
struct MachineSandboxTests {
  @Test(
    arguments: [
      "--cpus 3", "--compare", "--backing memfd --verify-zeroed", "--no-zeroed-memory",
      "--tracking-policy until-answered=0", "--tracking-policy never", "--prealloc --thp",
      "--hyperv userspace --refine off",
    ])
  func demos(options: String) async {
    await #expect(processExitsWith: .exitCode(0)) { [options = options as String] in
      _exit(VMMRun.run(words("demo --memory 16M \(options)")).code)
    }
  }

  @Test(
    .enabled(if: WrittenPageSourceKind.writeProtect.obstacle == nil, "needs write protection"),
    arguments: ["anonymous", "memfd"])
  func writeProtection(backing: String) async {
    await #expect(processExitsWith: .exitCode(0)) { [backing = backing as String] in
      let options = "demo --memory 16M --cpus 2 --tracking write-protect --verify-zeroed --backing"
      _exit(VMMRun.run(words("\(options) \(backing)")).code)
    }
  }

  @Test func filesThatTheRunWrites() async throws {
    let directory = try TemporaryDirectory()
    await #expect(processExitsWith: .exitCode(0)) { [path = directory.path("") as String] in
      _exit(
        VMMRun.run(
          words("demo --memory 16M --map \(path)map.svg --trace-hypercalls \(path)trace")
        ).code)
    }
    #expect(try directory.contents("map.svg").contains("<svg"))
    #expect(try !directory.contents("trace").isEmpty)
  }

  /// What a device does on a vCPU's thread is what a guest that broke in would do there.
  @Test func aDeviceThatAsksForMore() async throws {
    let outcome = await #expect(
      processExitsWith: .signal(SIGSYS), observing: [\.standardErrorContent]
    ) {
      // mov al, 0; out 0xEC, al; jmp to itself
      var configuration = MachineConfiguration(
        program: [0xB0, 0x00, 0xE6, 0xEC, 0xEB, 0xFE], memoryByteCount: 4 << 20)
      let port = SignalPort { _ in _ = socket(AF_INET, 1, 0) }
      configuration.portDevices = [(PortRange(start: 0xEC, count: 1), port)]
      let sandbox = MachineSandbox(.on, tracking: TrackingSpec())
      let machine = try sandbox.enter().machine(configuration)
      _ = try Machine(machine.configuration, control: MachineControl()).run()
      _exit(0)
    }
    let text = String(
      decoding: try #require(outcome).standardErrorContent, as: UTF8.self)
    #expect(
      text.contains("vmm-run: a vCPU thread asked for system call 41 (socket) with 0x2, 0x1, 0x0"))
    #expect(text.contains("run with --sandbox off to debug\n"))
  }

  /// The line comes before the terminal is restored, and both do.
  @Test func aTerminalIsRestored() async throws {
    let terminal = try PseudoTerminal()
    let before = terminal.localFlags
    let outcome = await #expect(
      processExitsWith: .signal(SIGSYS), observing: [\.standardErrorContent]
    ) { [path = terminal.path as String] in
      let descriptor = try OutputFile.open(path, O_RDWR | O_NOCTTY | O_CLOEXEC, named: path)
        .release()
      let console = try StdioConsole(
        streams: .init(input: descriptor, output: descriptor), onQuit: {})
      _ = try MachineSandbox(.on, tracking: TrackingSpec()).enter()
      try console.start { $0.count }
      _ = socket(AF_INET, 1, 0)
      _exit(0)
    }
    #expect(terminal.localFlags == before)
    #expect(
      String(decoding: try #require(outcome).standardErrorContent, as: UTF8.self)
        .contains("vmm-run: a service thread asked for system call 41 (socket)"))
  }

  /// A kernel, or whoever started us, may refuse filters.
  @Test func noFiltersNoRun() async throws {
    let outcome = await #expect(
      processExitsWith: .exitCode(3), observing: [\.standardErrorContent]
    ) {
      try NoNewPrivileges.set()
      try refusing(317).install()
      _exit(VMMRun.run(words("demo --memory 16M")).code)
    }
    let text = String(decoding: try #require(outcome).standardErrorContent, as: UTF8.self)
    #expect(text.hasPrefix("vmm-run: "))
    #expect(text.contains("--sandbox off\n"))
  }

  @Test func noLandlockGoesOn() async {
    await #expect(processExitsWith: .exitCode(0)) {
      try NoNewPrivileges.set()
      try refusing(444).install()
      guard Landlock.abi == 0 else { _exit(1) }
      _exit(VMMRun.run(words("demo --memory 16M")).code)
    }
  }

  @Test func offMeansOff() async {
    await #expect(processExitsWith: .exitCode(0)) {
      try NoNewPrivileges.set()
      try refusing(317).install()
      _exit(VMMRun.run(words("demo --memory 16M --sandbox off")).code)
    }
  }

  @Test func options() throws {
    let demo = try Invocation(["demo", "--sandbox", "off"])
    var expected = DemoOptions()
    expected.sandbox = .off
    #expect(demo == .demo(expected))
    #expect(DemoOptions().sandbox == .on)
    #expect(throws: UsageError.self) { try Invocation(["demo", "--sandbox", "maybe"]) }
    #expect(throws: UsageError.self) { try Invocation(["check", "--sandbox", "on"]) }
  }

  @Test(arguments: [
    ("map.svg", "."), ("a/map.svg", "a"), ("/map.svg", "/"), ("/a/b/map.svg", "/a/b"),
  ])
  func directories(path: String, directory: String) {
    #expect(MachineSandbox.directory(of: path) == directory)
  }

  @Test(
    arguments: [
      ("/dev/fd/63", 63), ("/proc/self/fd/4", 4), ("/dev/fd/x", nil), ("map.svg", nil),
    ] as [(String, Int32?)])
  func descriptors(path: String, descriptor: Int32?) {
    #expect(MachineSandbox.descriptor(of: path) == descriptor)
  }
}

private func words(_ text: String) -> [String] {
  text.split(separator: " ").map(String.init)
}

/// Allows all but one system call, which does not exist under it (ENOSYS): 317 is seccomp, 444
/// landlock_create_ruleset.
private func refusing(_ refused: UInt32) -> SeccompFilter {
  let rules = (UInt32(0)..<470).map { number in
    SystemCallRule(SystemCall(rawValue: number), answer: number == refused ? .fail(38) : .allow)
  }
  return SeccompFilter(rules, role: 0)
}
