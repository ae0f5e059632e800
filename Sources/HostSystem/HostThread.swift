internal import Glibc

/// A POSIX thread that runs one closure. Joined exactly once, by its starter.
///
/// It inherits which signals are blocked.
@safe public struct HostThread: Sendable {
  /// The host gives no more threads.
  public struct Failure: Error, Equatable {
    /// What pthread_create(3) answered.
    public let code: Int32
  }

  private let handle: pthread_t

  private final class Body: Sendable {
    let run: @Sendable () -> Void

    init(_ run: @escaping @Sendable () -> Void) {
      self.run = run
    }
  }

  /// Starts the thread.
  public init(_ run: @escaping @Sendable () -> Void) throws(Failure) {
    var handle = pthread_t()
    // SAFETY: the thread takes over the one reference that `passRetained` makes.
    let context = unsafe Unmanaged.passRetained(Body(run)).toOpaque()
    let code = unsafe pthread_create(
      &handle, nil,
      { context in
        guard let context = unsafe context else { return nil }
        unsafe Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run()
        return nil
      }, context)
    guard code == 0 else {
      unsafe Unmanaged<Body>.fromOpaque(context).release()
      throw Failure(code: code)
    }
    self.handle = handle
  }

  /// Whether the caller runs on this thread.
  public var isCurrent: Bool {
    pthread_equal(pthread_self(), handle) != 0
  }

  /// How often the calling thread has slept: on a lock, for a device, for a peer. Being driven off
  /// the processor is no sleep (*ru_nvcsw*, getrusage(2)).
  public static var sleepCount: Int {
    var usage = rusage()
    // RUSAGE_THREAD, which glibc's headers keep to GNU C.
    let thread: Int32 = 1
    // SAFETY: the call fills the struct; with these arguments it cannot fail.
    _ = unsafe getrusage(thread, &usage)
    return usage.ru_nvcsw
  }

  /// Waits for its end.
  public func join() {
    pthread_join(handle, nil)
  }

  /// Lets it end without being joined.
  public func detach() {
    pthread_detach(handle)
  }
}
