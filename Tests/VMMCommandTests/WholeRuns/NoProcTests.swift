import FoundationEssentials
import Glibc
import KVM
import Sandbox
import Testing

@testable import VMMCommand

/// Without `/proc`, as in a chroot: Landlock takes it away, also from what is started then.
@Suite(
  .enabled(if: Program.canRun, "needs vmm-run beside the tests"),
  .enabled(if: Landlock.abi > 0, "needs Landlock"), .timeLimit(.minutes(10)))
struct NoProcTests {
  @Test func theArgumentsAreThere() async {
    await #expect(processExitsWith: .exitCode(0)) { try run("--version") }
    await #expect(processExitsWith: .exitCode(2)) { try run("--nonsense") }
  }

  @Test(.enabled(if: (try? KVMSystem()) != nil, "needs read-write /dev/kvm"))
  func aGuestRuns() async throws {
    let directory = try TemporaryDirectory()
    let code = TestGuest.out(TestGuest.exitPort, 7) + TestGuest.wait
    try directory.write(code, to: "program")
    await #expect(processExitsWith: .exitCode(7)) { [path = directory.path("program") as String] in
      try run("run --program \(path)")
    }
  }

  /// What the demo measures stands there.
  @Test(.enabled(if: (try? KVMSystem()) != nil, "needs read-write /dev/kvm"))
  func theDemoSaysWhatItNeeds() async throws {
    let outcome = await #expect(
      processExitsWith: .exitCode(3), observing: [\.standardErrorContent]
    ) { try run("demo --memory 16M") }
    let text = String(decoding: try #require(outcome).standardErrorContent, as: UTF8.self)
    #expect(text.contains("vmm-run: resident guest memory: open /proc/self/"))
    #expect(text.hasSuffix("; mount /proc\n"))
  }
}

/// Replaces this process by one that can open everything but `/proc`.
private func run(_ line: String) throws {
  guard let path = Program.path else { _exit(100) }
  try NoNewPrivileges.set()
  let all = LandlockAccess(rawValue: .max)
  let places = try FileManager.default.contentsOfDirectory(atPath: "/").filter { $0 != "proc" }
  let rules = places.map { LandlockRule("/" + $0, all) }
  guard try Landlock.restrict(to: rules) > 0 else { _exit(101) }
  let words = [path] + line.split(separator: " ").map(String.init)
  // SAFETY: the copies are terminated, and live until the process is replaced.
  var arguments = unsafe words.map { unsafe strdup($0) }
  unsafe arguments.append(nil)
  unsafe execv(path, arguments)
  _exit(102)
}
