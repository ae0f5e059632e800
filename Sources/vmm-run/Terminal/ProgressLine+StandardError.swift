import Glibc
import HostSystem

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
