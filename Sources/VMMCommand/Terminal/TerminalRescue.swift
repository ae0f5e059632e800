import Glibc
import Synchronization

/// Restores a terminal when the process ends by a trap, by a signal without a handler, or by
/// `exit` from anywhere.
///
/// There is one for the process, as there is one controlling terminal: a signal handler finds only
/// what is global. Everything here that a handler does is async-signal-safe (signal-safety(7)).
enum TerminalRescue {
  /// The terminal's descriptor; -1 while there is nothing to restore.
  private static let descriptor = Atomic<Int32>(-1)

  // SAFETY of both: allocated once, before any handler is installed, and never freed. `settings` is
  // written only by the one that won `descriptor` from -2; `previous` only while installing.
  private nonisolated(unsafe) static let settings = UnsafeMutablePointer<termios>.allocate(
    capacity: 1)
  private nonisolated(unsafe) static let previous = UnsafeMutablePointer<sigaction>.allocate(
    capacity: 65)

  /// What ends a process by default, and may come without anybody's intent to end it in order.
  /// SIGINT and SIGTERM are the `SignalWatcher`'s.
  private static let signals = [
    SIGILL, SIGTRAP, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGSYS, SIGHUP, SIGQUIT,
  ]

  /// Installed at the first use, and left: without a terminal to restore it changes nothing.
  private static let installation: Void = {
    atexit { TerminalRescue.restore() }
    for signal in signals { install(signal) }
  }()

  /// Installs the handlers now: those installed after that are called first.
  static func prepare() {
    _ = installation
  }

  /// From now on restores `descriptor` to `original`. False when another terminal has the place.
  @discardableResult
  static func arm(_ terminal: Int32, original: termios) -> Bool {
    // -2 keeps handlers and others out while the settings are written.
    guard
      descriptor.compareExchange(expected: -1, desired: -2, ordering: .acquiringAndReleasing)
        .exchanged
    else { return false }
    unsafe settings.initialize(to: original)
    _ = installation
    descriptor.store(terminal, ordering: .releasing)
    return true
  }

  /// The terminal is as it was, or is no longer ours.
  static func disarm(_ terminal: Int32) {
    _ = descriptor.compareExchange(
      expected: terminal, desired: -1, ordering: .acquiringAndReleasing)
  }

  /// Async-signal-safe. The first caller does it.
  private static func restore() {
    let terminal = descriptor.exchange(-1, ordering: .acquiringAndReleasing)
    guard terminal >= 0 else { return }
    _ = unsafe tcsetattr(terminal, TCSANOW, settings)
  }

  private static func install(_ signal: Int32) {
    var action = sigaction()
    unsafe action.__sigaction_handler.sa_handler = { signal in
      TerminalRescue.restore()
      // What would have happened without us happens when this handler returns.
      unsafe sigaction(signal, TerminalRescue.previous + Int(signal), nil)
      raise(signal)
    }
    let old = unsafe previous + Int(signal)
    // SAFETY: both live for the calls.
    guard unsafe sigaction(signal, &action, old) == 0 else { return }
    // Ignored by the parent process (nohup): it stays so.
    if unsafe unsafeBitCast(old.pointee.__sigaction_handler.sa_handler, to: Int.self) == 1 {
      unsafe sigaction(signal, old, nil)
    }
  }
}
