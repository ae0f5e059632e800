internal import Glibc

/// A POSIX thread that runs one closure. Joined exactly once, by whoever started it.
@safe struct DeviceThread: Sendable {
  private let handle: pthread_t

  private final class Body: Sendable {
    let run: @Sendable () -> Void

    init(_ run: @escaping @Sendable () -> Void) {
      self.run = run
    }
  }

  /// Starts the thread. Nil when the host gives no more.
  init?(_ run: @escaping @Sendable () -> Void) {
    var handle = pthread_t()
    // SAFETY: the thread takes over the one reference that `passRetained` makes.
    let context = unsafe Unmanaged.passRetained(Body(run)).toOpaque()
    let error = unsafe pthread_create(
      &handle, nil,
      { context in
        guard let context = unsafe context else { return nil }
        unsafe Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run()
        return nil
      }, context)
    guard error == 0 else {
      unsafe Unmanaged<Body>.fromOpaque(context).release()
      return nil
    }
    self.handle = handle
  }

  func join() {
    pthread_join(handle, nil)
  }
}
