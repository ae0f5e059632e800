internal import CLinux
internal import Glibc

/// A system error number. Any value is kept and can be printed.
///
/// Its text comes from tables of constants: no locale, no lock and no file, so any thread may ask
/// for it, under any filter.
public struct Errno: RawRepresentable, Error, Hashable, Sendable, CustomStringConvertible {
  /// As the C library has it, such as *ENOSPC*.
  public let rawValue: Int32

  /// Any number is accepted.
  public init(rawValue: Int32) {
    self.rawValue = rawValue
  }

  /// Any number is accepted.
  public init(_ rawValue: Int32) {
    self.rawValue = rawValue
  }

  /// The calling thread's `errno`. Read it in the statement after the call that failed.
  package static var current: Errno { Errno(errno) }

  /// The text and the name, `No space left on device (ENOSPC)`; `error 9999` for a number that has
  /// none.
  public var description: String {
    // SAFETY: constants of the C library, terminated.
    guard let text = unsafe clinux_error_text(rawValue),
      let name = unsafe clinux_error_name(rawValue)
    else { return "error \(rawValue)" }
    return unsafe "\(String(cString: text)) (\(String(cString: name)))"
  }
}
