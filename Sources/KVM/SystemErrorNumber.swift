internal import CKVM
internal import Glibc

/// An `errno` value, kept open so that any number survives and can be printed.
public struct SystemErrorNumber: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  public let rawValue: Int32

  public init(rawValue: Int32) {
    self.rawValue = rawValue
  }

  /// The calling thread's `errno`; read it in the statement after the call that failed.
  static var current: SystemErrorNumber {
    SystemErrorNumber(rawValue: errno)
  }

  /// The message and the symbol: `Permission denied (EACCES)`.
  public var description: String {
    guard let text = unsafe strerror(rawValue), let symbol = unsafe ckvm_error_symbol(rawValue)
    else {
      return "error \(rawValue)"
    }
    return unsafe "\(String(cString: text)) (\(String(cString: symbol)))"
  }
}
