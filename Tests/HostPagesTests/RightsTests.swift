import Foundation
import Glibc
import HostPages
import Testing

/// What is needed to use it, and what is said when it is missing.
@Suite(.timeLimit(.minutes(10)))
struct RightsTests {
  /// The other suites skip themselves when there is an obstacle: it may only be one of the host's.
  @Test func onlyTheHostIsAnObstacle() {
    switch WriteProtection.obstacle() {
    case nil: break
    case .call?, .missingFeatures?:
      #expect(ProcessInfo.processInfo.environment["RIG"] == nil, "the rig's kernel has it all")
    case let error?: Issue.record("\(error)")
    }
  }

  /// No group, no capability, `vm.unprivileged_userfaultfd` as it is: every writer is noted.
  @Test(
    .enabled(if: WriteProtection.obstacle() == nil, "needs userfaultfd WP_ASYNC and PAGEMAP_SCAN"),
    .enabled(if: getuid() == 0, "needs root to become another user"))
  func aUserWithoutPrivilegesNotesAllWriters() async {
    await #expect(processExitsWith: .success) {
      try #require(SystemCalls.becomeNobody() && SystemCalls.setDumpable(true))
      #expect(getuid() == 65534 && setuid(0) != 0)
      #expect(WriteProtection.obstacle() == nil)
      for kind in [Memory.unprivileged(.anonymous), .unprivileged(.memfd)] {
        let memory = try kind.make()
        let protection = try WriteProtection([memory.range])
        try protection.arm()
        var page = 0
        for writer in Writer.allCases {
          try writer.write(to: page, of: memory)
          page += 100
        }
        #expect(try protection.writtenPages(of: memory.range) == [0, 100, 200, 300])
      }
    }
  }

  @Test(
    .enabled(if: WriteProtection.obstacle() == nil, "needs userfaultfd WP_ASYNC and PAGEMAP_SCAN"),
    .enabled(if: getuid() == 0, "needs root to become another user"))
  func aProcessThatIsNotDumpableIsTold() async {
    await #expect(processExitsWith: .success) {
      try #require(SystemCalls.becomeNobody() && SystemCalls.setDumpable(false))
      let text = WriteProtection.obstacle().map { "\($0)" } ?? ""
      #expect(text.hasPrefix("open /proc/thread-self/pagemap"))
      #expect(text.contains("Permission denied (EACCES); "))
      #expect(text.contains("PR_SET_DUMPABLE"))
    }
  }

  @Test func obstaclesNameTheCure() {
    #expect(
      "\(HostPagesError.missingFeatures(["UFFD_FEATURE_WP_ASYNC", "PAGEMAP_SCAN"]))"
        == "this kernel has no UFFD_FEATURE_WP_ASYNC, PAGEMAP_SCAN, needed to note written pages;"
        + " use Linux 6.7 or newer with CONFIG_USERFAULTFD=y")
    #expect(
      "\(HostPagesError.call(operation: "userfaultfd", errno: EPERM, cure: "allow it"))"
        == "userfaultfd: Operation not permitted (EPERM); allow it")
    #expect("\(HostPagesError.call(operation: "x", errno: EIO, cure: nil))".hasSuffix("(EIO)"))
    #expect("\(HostPagesError.notArmed)".hasSuffix("call arm first"))
  }
}

extension Memory {
  /// Populated memory that needs no pool.
  static func unprivileged(_ backing: Backing) -> Memory {
    Memory(backing: backing, isPopulated: true)
  }
}
