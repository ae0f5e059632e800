import Glibc
import HostSystem
internal import MachineSpecification
import Synchronization

/// A line at the bottom of the terminal that says how far a long step is, and disappears with it.
///
/// Nothing is shown in the first second, so that quick steps do not flicker, and nothing at all
/// when standard error is not a terminal. The caller only reports; what is drawn when is decided
/// here. From any thread.
final class ProgressLine: Sendable {
  /// Where the line goes, replaceable in tests.
  struct Output: Sendable {
    var isTerminal: Bool
    /// Asked for each drawing: windows change.
    var columnCount: @Sendable () -> Int
    var write: @Sendable (String) -> Void
    var nanoseconds: @Sendable () -> UInt64
  }

  private struct State {
    var lastDrawn: UInt64?
    var isFinished = false
  }

  static let delayNanoseconds: UInt64 = 1_000_000_000
  /// Ten times a second looks alive and costs nothing.
  static let intervalNanoseconds: UInt64 = 100_000_000
  /// Back to the first column; erase to the end of the line (ECMA-48 EL).
  static let eraseSequence = "\r\u{1B}[K"

  private let activity: String
  private let output: Output
  private let start: UInt64
  private let state = Mutex(State())

  /// - Parameter activity: What is being done, such as `zeroing memory`.
  init(_ activity: String, output: Output = .standardError) {
    self.activity = activity
    self.output = output
    start = output.nanoseconds()
  }

  deinit {
    finish()
  }

  /// `zeroing memory... 412 MiB of 1 GiB (40 %)`.
  func update(_ done: ByteCount, of total: ByteCount) {
    // Rounded down: what is not finished never reads 100 %. An estimate may run past its total.
    let share = min(1, Double(done.bytes) / Double(max(1, total.bytes)))
    let percent = UInt64(share * 100)
    draw("\(activity)... \(done) of \(total) (\(percent) %)")
  }

  /// For a step that cannot say how far it is: seconds since its start.
  func update() {
    draw("\(activity)... \((output.nanoseconds() &- start) / 1_000_000_000) s")
  }

  /// Erases the line; later updates are ignored. Call it before any message to standard error,
  /// which would otherwise continue the line.
  func finish() {
    state.withLock { state in
      if state.lastDrawn != nil { output.write(Self.eraseSequence) }
      state.lastDrawn = nil
      state.isFinished = true
    }
  }

  private func draw(_ text: @autoclosure () -> String) {
    guard output.isTerminal else { return }
    state.withLock { state in
      let now = output.nanoseconds()
      guard !state.isFinished, now &- start >= Self.delayNanoseconds else { return }
      if let last = state.lastDrawn, now &- last < Self.intervalNanoseconds { return }
      state.lastDrawn = now
      // One column stays free: a full line would wrap, and then could not be erased.
      output.write(Self.eraseSequence + text().prefix(max(0, output.columnCount() - 1)))
    }
  }
}

extension ProgressLine.Output {
  /// Standard error, if it is a terminal that can erase a line.
  static var standardError: ProgressLine.Output {
    ProgressLine.Output(
      isTerminal: isatty(STDERR_FILENO) == 1 && !isDumb,
      columnCount: columnCount,
      write: { try? OutputFile.write($0, to: STDERR_FILENO, named: "standard error") },
      nanoseconds: HostClock.monotonicNanoseconds)
  }

  private static var isDumb: Bool {
    // SAFETY: the environment is not changed by this program; the string is copied at once.
    guard let value = unsafe getenv("TERM") else { return true }
    return unsafe String(cString: value) == "dumb"
  }

  @Sendable private static func columnCount() -> Int {
    var size = winsize()
    // SAFETY: the structure is the one TIOCGWINSZ fills, and lives for the call.
    let result = unsafe withUnsafeMutablePointer(to: &size) { pointer in
      unsafe ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), UnsafeMutableRawPointer(pointer))
    }
    return result == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
  }
}
