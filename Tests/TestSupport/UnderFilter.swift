import Glibc
internal import Sandbox
import Synchronization
public import Testing

/// Runs each test on a thread of its own, under the filter of a role.
///
/// For device and hypercall code that tests call directly. All of a test runs there, so it makes no threads or
/// processes, and opens no files.
public struct UnderFilter: SuiteTrait, TestTrait, TestScoping {
  let role: SandboxRole

  /// Each test of a suite, and of the suites in it, for itself.
  public var isRecursive: Bool { true }

  public func provideScope(
    for test: Test, testCase: Test.Case?,
    performing function: @Sendable () async throws -> Void
  ) async throws {
    let thread = FilteredThread(role)
    defer { thread.end() }
    try await withTaskExecutorPreference(thread, operation: function)
  }
}

extension Trait where Self == UnderFilter {
  /// Each test on a thread that may do what a vCPU's may.
  public static var onVCPUThread: UnderFilter { UnderFilter(role: .vcpu) }

  /// Each test on a thread that may do what a disk's may.
  public static var onDiskThread: UnderFilter { UnderFilter(role: .disk) }
}

/// Runs the jobs of a task, one after the other, on a thread under a filter.
private final class FilteredThread: TaskExecutor {
  private struct State {
    var jobs: [UnownedJob] = []
    var isOver = false
  }

  private let state = Mutex(State())
  private let work = TestSemaphore()

  init(_ role: SandboxRole) {
    TestThreads.start { [self] in
      ThreadFilter.enter(role)
      while true {
        work.wait()
        let (job, isOver) = state.withLock { state in
          (state.jobs.isEmpty ? nil : state.jobs.removeFirst(), state.isOver)
        }
        if let job {
          unsafe job.runSynchronously(on: asUnownedTaskExecutor())
        } else if isOver {
          return
        }
      }
    }
  }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    state.withLock { $0.jobs.append(job) }
    work.signal()
  }

  /// Lets the thread end when it has run all its jobs.
  func end() {
    state.withLock { $0.isOver = true }
    work.signal()
  }
}
