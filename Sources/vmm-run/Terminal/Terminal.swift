import Glibc
import Synchronization

/// The terminal a guest's console is typed into: raw while the guest has it, restored after.
///
/// Output is still processed in raw mode, so that messages of this program keep their line breaks.
final class Terminal: Sendable {
  private let descriptor: Int32
  /// The settings to return to; nil while they are in force.
  private let saved = Mutex<termios?>(nil)

  /// Nil when the descriptor is not a terminal.
  init?(descriptor: Int32 = STDIN_FILENO) {
    guard isatty(descriptor) == 1 else { return nil }
    self.descriptor = descriptor
  }

  deinit {
    restore()
  }

  /// Characters arrive one by one and are not echoed. A second call changes nothing.
  ///
  /// - Parameters:
  ///   - keepsSignals: Whether Ctrl-C, Ctrl-\ and Ctrl-Z still are signals to this process.
  ///   - survivesCrash: Whether the settings come back even if the process ends abnormally
  ///     (`TerminalRescue`). One terminal of a process at a time.
  func enterRawMode(
    keepsSignals: Bool = true, survivesCrash: Bool = false
  ) throws(SystemError) {
    try saved.withLock { saved throws(SystemError) in
      guard saved == nil else { return }
      var settings = termios()
      // SAFETY: the structure lives for the call.
      guard unsafe tcgetattr(descriptor, &settings) == 0 else {
        throw SystemError("read the terminal's settings", code: errno)
      }
      let original = settings
      settings.c_iflag &= ~tcflag_t(BRKINT | ICRNL | INLCR | IGNCR | ISTRIP | IXON)
      settings.c_lflag &= ~tcflag_t(ECHO | ECHONL | ICANON | IEXTEN)
      // One character is enough for a read, however long it takes (VMIN and VTIME).
      settings.c_cc.6 = 1
      settings.c_cc.5 = 0
      if !keepsSignals { settings.c_lflag &= ~tcflag_t(ISIG) }
      if survivesCrash { TerminalRescue.arm(descriptor, original: original) }
      // SAFETY: the structure lives for the call.
      guard unsafe tcsetattr(descriptor, TCSADRAIN, &settings) == 0 else {
        let code = errno
        TerminalRescue.disarm(descriptor)
        throw SystemError("set the terminal to raw mode", code: code)
      }
      saved = original
    }
  }

  /// Returns to the settings found by `enterRawMode`; does nothing when they are in force.
  ///
  /// Also called on the way out of a second Ctrl-C, when any thread may be stuck: it never waits
  /// for the lock, which is held only while the settings are being changed.
  func restore() {
    saved.withLockIfAvailable { saved in
      guard var settings = saved else { return }
      // SAFETY: the structure lives for the call.
      _ = unsafe tcsetattr(descriptor, TCSANOW, &settings)
      TerminalRescue.disarm(descriptor)
      saved = nil
    }
  }

  func withRawMode<Result, Failure: Error>(
    _ body: () throws(Failure) -> Result
  ) throws -> Result {
    try enterRawMode()
    defer { restore() }
    return try body()
  }
}
