/// Arguments as strings, whatever bytes they are: names of files need not be UTF-8.
///
/// A byte that is no UTF-8 becomes a scalar of its own from a range for private use, U+10FF00 and
/// up, as Python makes surrogates of such bytes (PEP 383), which Swift's strings cannot have.
/// Should somebody use those scalars, their bytes are taken one by one, so that no two arguments
/// become the same string and all come back.
package enum ArgumentText {
  private static let stands: ClosedRange<UInt32> = 0x10_FF00...0x10_FFFF

  /// The string for an argument.
  package static func string(from bytes: [UInt8]) -> String {
    let text = String(decoding: bytes, as: UTF8.self)
    // Most arguments.
    if text.utf8.elementsEqual(bytes), !text.unicodeScalars.contains(where: isStand) { return text }
    var scalars = String.UnicodeScalarView()
    var rest = bytes[...]
    while let first = rest.first {
      var decoder = UTF8()
      var iterator = rest.makeIterator()
      if case .scalarValue(let scalar) = decoder.decode(&iterator), !isStand(scalar) {
        scalars.append(scalar)
        rest = rest.dropFirst(UTF8.width(scalar))
      } else {
        // Within Unicode: the last scalar is U+10FFFF.
        scalars.append(Unicode.Scalar(stands.lowerBound + UInt32(first))!)
        rest = rest.dropFirst()
      }
    }
    return String(scalars)
  }

  /// The bytes of a string, those that a scalar stands for among them.
  package static func bytes(of text: String) -> [UInt8] {
    var bytes: [UInt8] = []
    for scalar in text.unicodeScalars {
      if let byte = byte(of: scalar) { bytes.append(byte) } else { bytes += UTF8.encode(scalar)! }
    }
    return bytes
  }

  /// The byte that a scalar stands for; nil for one that stands for itself.
  package static func byte(of scalar: Unicode.Scalar) -> UInt8? {
    isStand(scalar) ? UInt8(truncatingIfNeeded: scalar.value) : nil
  }

  /// A message as it is printed: one line, with nothing in it that a terminal obeys.
  package static func printable(_ message: String) -> String {
    // Most messages.
    if message.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) { return message }
    var shown = ""
    for scalar in message.unicodeScalars {
      if let byte = byte(of: scalar) {
        shown += "\\x" + String(byte, radix: 16, uppercase: true)
        continue
      }
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator:
        shown += scalar.escaped(asASCII: true)
      default: shown.unicodeScalars.append(scalar)
      }
    }
    return shown
  }

  private static func isStand(_ scalar: Unicode.Scalar) -> Bool {
    stands.contains(scalar.value)
  }
}
