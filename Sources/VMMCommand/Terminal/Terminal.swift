import Glibc
import Synchronization

/// The terminal a guest's console is typed into: raw while the guest has it, restored after.
///
/// Output is still processed in raw mode, so that messages of this program keep their line breaks.
final class Terminal: Sendable {
  private struct State {
    /// The settings to return to; nil while they are in force.
    var original: termios?
    /// Those of raw mode, from the first `enterRawMode` on.
    var raw: termios?
    var survivesCrash = false
    /// Whether raw mode should be in force whenever the terminal is ours: until `restore`.
    var wantsRaw = false
    /// Whether the process is about to be stopped, or has been and does not know yet that it goes
    /// on.
    var isSuspended = false
  }

  private let descriptor: Int32
  private let processGroup = getpgrp()
  private let state = Mutex(State())

  /// Nil when the descriptor is not a terminal.
  init?(descriptor: Int32 = STDIN_FILENO) {
    guard isatty(descriptor) == 1 else { return nil }
    self.descriptor = descriptor
  }

  deinit {
    restore()
  }

  /// Whether what is typed is for this process: no shell has the terminal, or will have it at once.
  var isOurs: Bool {
    isForeground && !state.withLock { $0.isSuspended }
  }

  /// Whether no shell has given the terminal to others. Always for a terminal without job control.
  private var isForeground: Bool {
    let group = tcgetpgrp(descriptor)
    return group < 0 || group == processGroup
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
    try state.withLock { state throws(SystemError) in
      guard state.original == nil else { return }
      guard let original = settings() else {
        throw SystemError("read the terminal's settings", code: errno)
      }
      var raw = original
      raw.c_iflag &= ~tcflag_t(BRKINT | ICRNL | INLCR | IGNCR | ISTRIP | IXON)
      raw.c_lflag &= ~tcflag_t(ECHO | ECHONL | ICANON | IEXTEN)
      // One character is enough for a read, however long it takes (VMIN and VTIME).
      raw.c_cc.6 = 1
      raw.c_cc.5 = 0
      if !keepsSignals { raw.c_lflag &= ~tcflag_t(ISIG) }
      state.survivesCrash = survivesCrash
      state.raw = raw
      try enter(&state, from: original)
      state.wantsRaw = true
    }
  }

  private func enter(_ state: inout State, from original: termios) throws(SystemError) {
    guard var raw = state.raw else { return }
    if state.survivesCrash { TerminalRescue.arm(descriptor, original: original) }
    // SAFETY: the structure lives for the call.
    guard unsafe tcsetattr(descriptor, TCSADRAIN, &raw) == 0 else {
      let code = errno
      TerminalRescue.disarm(descriptor)
      throw SystemError("set the terminal to raw mode", code: code)
    }
    state.original = original
  }

  /// Returns to the settings found by `enterRawMode`; does nothing when they are in force, or when
  /// the terminal is others'.
  ///
  /// Also called on the way out of a second Ctrl-C, when any thread may be stuck: it never waits
  /// for the lock, which is held only while the settings are being changed.
  func restore() {
    state.withLockIfAvailable { state in
      state.wantsRaw = false
      giveBack(&state)
    }
  }

  private func giveBack(_ state: inout State) {
    guard var original = state.original else { return }
    // SAFETY: the structure lives for the call. In the background it would stop the process
    // (SIGTTOU).
    if isForeground { _ = unsafe tcsetattr(descriptor, TCSANOW, &original) }
    TerminalRescue.disarm(descriptor)
    state.original = nil
  }

  /// The process is about to be stopped: others get the terminal as it was.
  func suspend() {
    state.withLock { state in
      state.isSuspended = true
      giveBack(&state)
    }
  }

  /// The process goes on, perhaps after a stop without notice.
  func resume() {
    state.withLock { $0.isSuspended = false }
    takeBack()
  }

  /// Raw mode again, if it is wanted and the terminal is ours. What others have changed meanwhile
  /// is what to return to.
  func takeBack() {
    state.withLock { state in
      guard state.wantsRaw, !state.isSuspended, isForeground, let raw = state.raw,
        let current = settings(), !Self.equal(current, raw)
      else { return }
      TerminalRescue.disarm(descriptor)
      // If it fails, the terminal is gone.
      try? enter(&state, from: current)
    }
  }

  private func settings() -> termios? {
    var settings = termios()
    // SAFETY: the structure lives for the call.
    return unsafe tcgetattr(descriptor, &settings) == 0 ? settings : nil
  }

  /// Whether the flags are the same, which is what others change.
  private static func equal(_ one: termios, _ other: termios) -> Bool {
    one.c_iflag == other.c_iflag && one.c_oflag == other.c_oflag && one.c_lflag == other.c_lflag
      && one.c_cflag == other.c_cflag
  }

  func withRawMode<Result, Failure: Error>(
    _ body: () throws(Failure) -> Result
  ) throws -> Result {
    try enterRawMode()
    defer { restore() }
    return try body()
  }
}
