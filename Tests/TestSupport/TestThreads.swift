import Glibc
public import HostSystem

/// Threads for tests that need as many at once as they say: tasks share one for each processor.
public enum TestThreads {
  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) {
      self.run = run
    }
  }

  /// Runs each body on a thread of its own; returns when all have ended.
  public static func run(_ bodies: [@Sendable () -> Void]) {
    for thread in bodies.map(make) { pthread_join(thread, nil) }
  }

  /// The same under the filter of a role.
  public static func run(as role: ThreadRole, _ bodies: [@Sendable () -> Void]) {
    run(
      bodies.map { body in
        {
          ThreadFilter.enter(role)
          body()
        }
      })
  }

  /// Runs a body on a thread of its own, which ends when it likes.
  public static func start(_ body: @escaping @Sendable () -> Void) {
    pthread_detach(make(body))
  }

  /// Sleeps, on threads that may not ask for that too.
  public static func nap(microseconds: Int) {
    TestSemaphore().wait(microseconds: microseconds)
  }

  private static func make(_ body: @escaping @Sendable () -> Void) -> pthread_t {
    var thread = pthread_t()
    // SAFETY: the thread takes over the reference that is passed to it, and releases it at its end.
    let result = unsafe pthread_create(
      &thread, nil,
      { argument in
        unsafe Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue().run()
        return nil
      }, Unmanaged.passRetained(Body(body)).toOpaque())
    precondition(result == 0, "pthread_create: error \(result)")
    return thread
  }
}
