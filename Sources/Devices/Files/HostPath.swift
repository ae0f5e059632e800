/// The path of a file on this host: bytes without a NUL, in no particular encoding.
///
/// Most paths are text, and a literal is one. Linux takes any bytes, and a name from another system
/// may be no UTF-8, which a `String` would not give back.
public struct HostPath: Hashable, Sendable, ExpressibleByStringInterpolation,
  CustomStringConvertible
{
  /// Without a NUL at the end.
  public let bytes: [UInt8]

  /// A path of any bytes; one after a NUL is never seen by the system.
  public init(bytes: [UInt8]) {
    self.bytes = bytes
  }

  /// A path that is text.
  public init(_ text: String) {
    bytes = Array(text.utf8)
  }

  /// A path that is text.
  public init(stringLiteral text: String) {
    self.init(text)
  }

  /// The same path with text at its end, such as `.new`.
  public func appending(_ suffix: String) -> HostPath {
    HostPath(bytes: bytes + suffix.utf8)
  }

  /// Lends the path as the system takes it, terminated, for the time of a call.
  public func withCString<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result {
    let terminated = bytes.map { CChar(bitPattern: $0) } + [0]
    return unsafe terminated.withUnsafeBufferPointer { buffer in
      // SAFETY: not empty, so it has a base.
      unsafe body(buffer.baseAddress!)
    }
  }

  /// For people, in one line: bytes that are no UTF-8 as `\xE9`, control characters as `\u{1B}`.
  public var description: String {
    var shown = ""
    var rest = bytes[...]
    while let first = rest.first {
      var decoder = UTF8()
      var iterator = rest.makeIterator()
      guard case .scalarValue(let scalar) = decoder.decode(&iterator) else {
        // 0x80 at least: two digits.
        shown += "\\x" + String(first, radix: 16, uppercase: true)
        rest = rest.dropFirst()
        continue
      }
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator:
        shown += scalar.escaped(asASCII: true)
      default: shown.unicodeScalars.append(scalar)
      }
      rest = rest.dropFirst(UTF8.width(scalar))
    }
    return shown
  }
}
