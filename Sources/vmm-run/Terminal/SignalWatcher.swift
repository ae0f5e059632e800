import Glibc
import Synchronization

/// Turns SIGINT and SIGTERM into an orderly stop.
///
/// The signals are blocked, and a thread of their own waits for them: no handler runs in the middle
/// of something, and code reacting to a signal may do what any code may. The first signal calls
/// `onFirst`, once. A second one means that stopping takes too long: the process ends at once, after
/// `beforeImmediateExit`.
///
/// Create it before any other thread, on the thread that later calls `stop`: threads inherit which
/// signals are blocked, and a signal goes to any thread that does not block it.
final class SignalWatcher: Sendable {
  /// What the thread needs. It holds this and not the watcher, which can so end before the thread.
  private final class Context: Sendable {
    let onFirst: @Sendable (Int32) -> Void
    let beforeImmediateExit: @Sendable () -> Void
    /// The first signal; 0 before there was one.
    let received = Atomic<Int32>(0)
    let isStopping = Atomic(false)

    init(
      onFirst: @escaping @Sendable (Int32) -> Void,
      beforeImmediateExit: @escaping @Sendable () -> Void
    ) {
      self.onFirst = onFirst
      self.beforeImmediateExit = beforeImmediateExit
    }
  }

  private let context: Context
  private let thread: pthread_t
  private let previousMask: sigset_t
  private let isStopped = Atomic(false)

  /// - Parameters:
  ///   - onFirst: Receives the signal's number, on the watcher's thread. Must not call `stop`.
  ///   - beforeImmediateExit: Restores the terminal. Must not wait for anything.
  init(
    onFirst: @escaping @Sendable (Int32) -> Void,
    beforeImmediateExit: @escaping @Sendable () -> Void = {}
  ) throws(SystemError) {
    context = Context(onFirst: onFirst, beforeImmediateExit: beforeImmediateExit)
    var mask = Self.watchedSignals
    var previous = sigset_t()
    // SAFETY: both sets live for the call.
    unsafe pthread_sigmask(SIG_BLOCK, &mask, &previous)
    previousMask = previous

    var thread = pthread_t()
    // SAFETY: the thread takes over the reference that is passed to it, and releases it at its end.
    let reference = unsafe Unmanaged.passRetained(context)
    let result = unsafe pthread_create(
      &thread, nil,
      { argument in
        let context = unsafe Unmanaged<Context>.fromOpaque(argument!).takeRetainedValue()
        SignalWatcher.watch(context)
        return nil
      }, reference.toOpaque())
    self.thread = thread
    guard result == 0 else {
      isStopped.store(true, ordering: .relaxed)
      unsafe reference.release()
      // SAFETY: the set lives for the call.
      unsafe pthread_sigmask(SIG_SETMASK, &previous, nil)
      throw SystemError("start the thread that waits for signals", code: result)
    }
  }

  deinit {
    stop()
  }

  /// The first signal received, or nil. The exit status is then `.signalled` with it.
  var receivedSignal: Int32? {
    let signal = context.received.load(ordering: .acquiring)
    return signal == 0 ? nil : signal
  }

  /// Ends the thread and lets the signals do what they did before. Repeated calls do nothing.
  func stop() {
    guard !isStopped.exchange(true, ordering: .relaxed) else { return }
    context.isStopping.store(true, ordering: .releasing)
    send(SIGTERM)
    pthread_join(thread, nil)
    var mask = previousMask
    // SAFETY: the set lives for the call.
    unsafe pthread_sigmask(SIG_SETMASK, &mask, nil)
  }

  /// Sends a signal to the watcher's thread only.
  func send(_ signal: Int32) {
    pthread_kill(thread, signal)
  }

  private static var watchedSignals: sigset_t {
    var signals = sigset_t()
    // SAFETY: the set lives for the calls.
    unsafe sigemptyset(&signals)
    unsafe sigaddset(&signals, SIGINT)
    unsafe sigaddset(&signals, SIGTERM)
    return signals
  }

  private static func watch(_ context: Context) {
    var signals = watchedSignals
    while true {
      var signal: Int32 = 0
      // SAFETY: both live for the call.
      guard unsafe sigwait(&signals, &signal) == 0 else { continue }
      if context.isStopping.load(ordering: .acquiring) { return }
      let (isFirst, _) = context.received.compareExchange(
        expected: 0, desired: signal, ordering: .acquiringAndReleasing)
      guard isFirst else {
        context.beforeImmediateExit()
        _exit(ExitStatus.signalled(signal).code)
      }
      context.onFirst(signal)
    }
  }
}
