import HostSystem
internal import Sandbox
public import Testing

/// Runs each test on a thread of its own, under the filter of a role.
///
/// For device and hypercall code that tests call directly. All of a test runs there, so it makes no
/// threads or processes, and opens no files.
public struct UnderFilter: SuiteTrait, TestTrait, TestScoping {
  let role: ThreadRole

  /// Each test of a suite, and of the suites in it, for itself.
  public var isRecursive: Bool { true }

  public func provideScope(
    for test: Test, testCase: Test.Case?,
    performing function: @Sendable () async throws -> Void
  ) async throws {
    // The way back is by a thread without a filter: who hands a task to the pool that all tasks
    // share may have to make one of the pool's threads.
    try await withTaskExecutorPreference(TaskThread(nil)) { [role] in
      try await withTaskExecutorPreference(TaskThread(role), operation: function)
    }
  }
}

extension Trait where Self == UnderFilter {
  /// Each test on a thread that may do what a vCPU's may.
  public static var onVCPUThread: UnderFilter { UnderFilter(role: .vcpu) }

  /// Each test on a thread that may do what a disk's may.
  public static var onDiskThread: UnderFilter { UnderFilter(role: .disk) }
}

/// Runs the jobs of a task on a thread of its own.
private final class TaskThread: TaskExecutor {
  private let thread: RoleThread

  init(_ role: ThreadRole?) {
    thread = RoleThread(role)
  }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    thread.add { [self] in unsafe job.runSynchronously(on: asUnownedTaskExecutor()) }
  }
}
