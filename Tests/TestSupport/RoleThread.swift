public import HostSystem
public import Sandbox
import Synchronization

/// A thread under the filter of a role, which runs what other threads give it, in that order;
/// without a role one that may do all.
public final class RoleThread: Sendable {
  private struct State {
    var jobs: [@Sendable () -> Void] = []
    var isOver = false
  }

  private final class Core: Sendable {
    let state = Mutex(State())
    let work = TestSemaphore()
  }

  private let core = Core()

  public init(_ role: ThreadRole?, policy: SandboxPolicy = SandboxPolicy()) {
    TestThreads.start { [core] in
      if let role { ThreadFilter.enter(role, policy) }
      while true {
        core.work.wait()
        let (job, isOver) = core.state.withLock { state in
          (state.jobs.isEmpty ? nil : state.jobs.removeFirst(), state.isOver)
        }
        if let job {
          job()
        } else if isOver {
          return
        }
      }
    }
  }

  /// The thread ends when it has run all it was given.
  deinit {
    core.state.withLock { $0.isOver = true }
    core.work.signal()
  }

  func add(_ job: @escaping @Sendable () -> Void) {
    core.state.withLock { $0.jobs.append(job) }
    core.work.signal()
  }

  /// Runs the body there, and waits for it. Not for that thread itself.
  public func run<R: Sendable>(_ body: @escaping @Sendable () -> R) -> R {
    let result = Result<R>()
    add {
      let value = body()
      result.value.withLock { $0 = value }
      result.isThere.signal()
    }
    result.isThere.wait()
    // The thread has stored it before it signalled.
    return result.value.withLock { $0! }
  }

  private final class Result<R: Sendable>: Sendable {
    let value = Mutex<R?>(nil)
    let isThere = TestSemaphore()
  }
}
