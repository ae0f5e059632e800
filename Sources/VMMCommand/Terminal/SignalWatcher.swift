import Glibc
import HostSystem
import Synchronization

/// Turns SIGINT, SIGTERM and SIGHUP into an orderly end.
///
/// The signals are blocked, and a thread of their own waits for them: no handler runs in the middle
/// of something, and code reacting to a signal may do what any code may. The first SIGINT or
/// SIGTERM calls `onFirst`, once. A second one means that stopping takes too long: the process ends
/// at once, after `beforeImmediateExit`. One right after the first is the same: timeout(1) sends
/// two, one of them to the process group. SIGHUP, of a terminal that is gone, calls `onHangUp`,
/// once, also after another signal; terminals and shells send more than one of them. If the
/// parent process ignored it (nohup), it stays ignored.
///
/// Create it before any other thread and before anything that may take long, on the thread that
/// later calls `stop`: threads inherit which signals are blocked, and a signal goes to any thread
/// that does not block it. Before that, signals end the process as they end any.
final class SignalWatcher: Sendable {
  /// What to do around a stop of the process (SIGTSTP), on the watcher's thread.
  struct Suspension: Sendable {
    var before: @Sendable () -> Void
    /// Also when it goes on after a stop without notice (SIGSTOP), and perhaps more than
    /// once.
    var after: @Sendable () -> Void
  }

  /// Two signals this close together are one: no person decides in half a second that stopping
  /// takes too long.
  static let sameSignalNanoseconds: UInt64 = 500_000_000

  /// What the thread needs. It holds this and not the watcher, which can so end before the thread.
  private final class Context: Sendable {
    let signals: [Int32]
    let patience: OutputPatience
    let now: @Sendable () -> UInt64
    let onFirst: @Sendable (Int32) -> Void
    let onHangUp: @Sendable () -> Void
    let beforeImmediateExit: @Sendable () -> Void
    let suspension: Suspension?
    let onRequest: (@Sendable (RunRequest) -> Void)?
    /// The first signal; 0 before there was one.
    let received = Atomic<Int32>(0)
    let isStopping = Atomic(false)

    init(
      signals: [Int32], patience: OutputPatience, now: @escaping @Sendable () -> UInt64,
      onFirst: @escaping @Sendable (Int32) -> Void,
      onHangUp: @escaping @Sendable () -> Void,
      beforeImmediateExit: @escaping @Sendable () -> Void, suspension: Suspension?,
      onRequest: (@Sendable (RunRequest) -> Void)?
    ) {
      self.signals = signals
      self.patience = patience
      self.now = now
      self.onFirst = onFirst
      self.onHangUp = onHangUp
      self.beforeImmediateExit = beforeImmediateExit
      self.suspension = suspension
      self.onRequest = onRequest
    }
  }

  private let context: Context
  private let thread: pthread_t
  private let previousMask: sigset_t
  private let isStopped = Atomic(false)

  /// - Parameters:
  ///   - patience: what any of the signals shortens, before all else.
  ///   - now: a clock that never goes back, in nanoseconds.
  ///   - onFirst: Receives the signal's number, on the watcher's thread. Must not call `stop`.
  ///   - onHangUp: The same for SIGHUP; nil to do what `onFirst` does, if nothing has yet.
  ///   - beforeImmediateExit: Restores the terminal. Must not wait for anything.
  ///   - suspension: nil to let SIGTSTP do what it does to any program.
  ///   - onRequest: What the signals of requests call, each time; nil to leave them alone.
  init(
    patience: OutputPatience = .ofProcess,
    now: @escaping @Sendable () -> UInt64 = HostClock.monotonicNanoseconds,
    onFirst: @escaping @Sendable (Int32) -> Void,
    onHangUp: (@Sendable () -> Void)? = nil,
    beforeImmediateExit: @escaping @Sendable () -> Void = {}, suspension: Suspension? = nil,
    onRequest: (@Sendable (RunRequest) -> Void)? = nil
  ) throws(SystemError) {
    let optional = [SIGHUP] + (suspension == nil ? [] : [SIGTSTP])
    let signals =
      [SIGINT, SIGTERM] + optional.filter { !Self.isIgnored($0) }
      + (suspension == nil ? [] : [SIGCONT])
      + (onRequest == nil ? [] : RunRequest.signals.map { $0.signal })
    context = Context(
      signals: signals, patience: patience, now: now, onFirst: onFirst,
      onHangUp: onHangUp ?? { onFirst(SIGHUP) }, beforeImmediateExit: beforeImmediateExit,
      suspension: suspension, onRequest: onRequest)
    var mask = Self.set(of: signals)
    var previous = sigset_t()
    // SAFETY: both sets live for the call.
    unsafe pthread_sigmask(SIG_BLOCK, &mask, &previous)
    previousMask = previous
    // An ignored signal would not even be pending.
    if onRequest != nil {
      for (signal, _) in RunRequest.signals { _ = Glibc.signal(signal, SIG_DFL) }
    }

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
    if context.onRequest != nil { Self.ignoreRequests() }
    var mask = previousMask
    // SAFETY: the set lives for the call.
    unsafe pthread_sigmask(SIG_SETMASK, &mask, nil)
  }

  /// A request that comes too early or too late gets no answer, and ends nothing.
  static func ignoreRequests() {
    for (request, _) in RunRequest.signals { _ = signal(request, SIG_IGN) }
  }

  /// Sends a signal to the watcher's thread only.
  func send(_ signal: Int32) {
    pthread_kill(thread, signal)
  }

  private static func set(of signals: [Int32]) -> sigset_t {
    var set = sigset_t()
    // SAFETY: the set lives for the calls.
    unsafe sigemptyset(&set)
    for signal in signals { unsafe sigaddset(&set, signal) }
    return set
  }

  private static func isIgnored(_ signal: Int32) -> Bool {
    var action = sigaction()
    // SAFETY: the structure lives for the call; SIG_IGN, which is not imported, is 1.
    guard unsafe sigaction(signal, nil, &action) == 0 else { return false }
    return unsafe unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
  }

  /// Stops the process as SIGTSTP does by default; returns when it goes on, or at once where the
  /// kernel stops nothing because no shell could continue it.
  private static func suspend(_ context: Context) {
    context.suspension?.before()
    var signals = set(of: [SIGTSTP])
    // SAFETY: the set lives for the calls.
    unsafe pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    pthread_kill(pthread_self(), SIGTSTP)
    unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
  }

  private static func watch(_ context: Context) {
    var signals = set(of: context.signals)
    var hasHungUp = false
    var firstTime: UInt64?
    while true {
      var signal: Int32 = 0
      // SAFETY: both live for the call.
      guard unsafe sigwait(&signals, &signal) == 0 else { continue }
      if context.isStopping.load(ordering: .acquiring) { return }
      if signal == SIGTSTP || signal == SIGCONT {
        if signal == SIGTSTP { suspend(context) }
        context.suspension?.after()
        continue
      }
      if let (_, request) = RunRequest.signals.first(where: { $0.signal == signal }) {
        context.onRequest?(request)
        continue
      }
      context.patience.shorten()
      let (isFirst, _) = context.received.compareExchange(
        expected: 0, desired: signal, ordering: .acquiringAndReleasing)
      let now = context.now()
      if signal == SIGHUP {
        if !hasHungUp { context.onHangUp() }
        hasHungUp = true
      } else if isFirst {
        firstTime = now
        context.onFirst(signal)
      } else if now &- (firstTime ?? 0) >= sameSignalNanoseconds {
        context.beforeImmediateExit()
        _exit(ExitStatus.signalled(signal).code)
      }
    }
  }
}
