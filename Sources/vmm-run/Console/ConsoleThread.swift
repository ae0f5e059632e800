import Glibc
import Synchronization

/// The thread on which a console reads its input.
///
/// It inherits which signals are blocked: make it after the `SignalWatcher`.
final class ConsoleThread: Sendable {
  /// What the thread takes over: C hands on one pointer.
  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  private let thread: pthread_t
  private let isJoined = Atomic(false)

  init(_ run: @escaping @Sendable () -> Void) throws(SystemError) {
    var thread = pthread_t()
    // SAFETY: the thread takes over the reference that is passed to it, and releases it at its end.
    let reference = unsafe Unmanaged.passRetained(Body(run))
    let result = unsafe pthread_create(
      &thread, nil,
      { argument in
        let body = unsafe Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue()
        body.run()
        return nil
      }, reference.toOpaque())
    guard result == 0 else {
      unsafe reference.release()
      throw SystemError("start the thread that reads the console", code: result)
    }
    self.thread = thread
  }

  /// Waits for the thread's end. On the thread itself returns at once: it ends by itself then.
  func join() {
    guard !isJoined.exchange(true, ordering: .acquiringAndReleasing) else { return }
    if pthread_equal(pthread_self(), thread) != 0 {
      pthread_detach(thread)
    } else {
      pthread_join(thread, nil)
    }
  }
}
