public import HostSystem

/// A policy on its way into force: first for the process, then for each thread with a role.
///
/// The main thread calls `enterProcess` when what it was given is open and before it makes any
/// thread; threads of vCPUs and disks call `enter` before anything else. Nothing leads out again.
///
/// Threads share their memory, so what keeps a guest that broke in is the list of the service
/// threads, Landlock and the lack of privileges; the shorter lists of the others are what it meets
/// first.
public struct Sandbox: Sendable {
  private let policy: SandboxPolicy
  private let rules: [LandlockRule]

  /// - Parameter rules: the files that may be opened from then on.
  public init(_ policy: SandboxPolicy, files rules: [LandlockRule]) {
    self.policy = policy
    self.rules = rules
  }

  /// No new privileges, Landlock, and the filter of service threads, for the calling thread and
  /// those it makes from now on; and an allocator that opens no files (`Allocator`). SIGSYS must
  /// have its handler: `ForbiddenCallReport`.
  ///
  /// - Returns: the ABI of Landlock in force, 0 for none.
  @discardableResult
  public func enterProcess() throws(SandboxError) -> Int {
    guard SeccompFilter.isAvailable else {
      throw .call(
        operation: "this kernel has no seccomp filters", errno: 38,
        cure: "use a kernel with CONFIG_SECCOMP_FILTER=y")
    }
    Allocator.keepFromFiles()
    try NoNewPrivileges.set()
    let abi = try Landlock.restrict(to: rules)
    try policy.filter(for: .service).install()
    return abi
  }

  /// The role's own filter, for the calling thread; `enterProcess` has been.
  ///
  /// Traps if the kernel refuses, as it does for want of memory only: the thread must not go on.
  public func enter(_ role: ThreadRole) {
    guard role != .service else { return }
    do throws(SandboxError) {
      // Made here, as most runs have no thread of some role.
      try policy.filter(for: role).install()
    } catch {
      fatalError("\(role.article) thread: \(error)")
    }
  }
}
