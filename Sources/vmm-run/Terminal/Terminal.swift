import Glibc
import Synchronization

/// The terminal a guest's console is typed into: raw while the guest has it, restored after.
///
/// Signals still come from the keyboard in raw mode (Ctrl-C ends `vmm-run`), and output is still
/// processed, so that messages of this program keep their line breaks.
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
  func enterRawMode() throws(SystemError) {
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
      // SAFETY: the structure lives for the call.
      guard unsafe tcsetattr(descriptor, TCSADRAIN, &settings) == 0 else {
        throw SystemError("set the terminal to raw mode", code: errno)
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
