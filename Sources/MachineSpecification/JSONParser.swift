/// Why bytes are not JSON.
package struct JSONError: Error, Equatable, CustomStringConvertible {
  package let description: String
}

/// Reads JSON (RFC 8259), with the members of an object as they stand, those of one name too.
package struct JSONParser {
  /// More than any machine has; keeps a file from filling the stack.
  private static let deepest = 64

  private let bytes: [UInt8]
  private var place = 0

  private init(_ bytes: [UInt8]) {
    self.bytes = bytes
  }

  package static func parse(_ bytes: [UInt8]) throws(JSONError) -> JSONValue {
    var parser = JSONParser(bytes)
    try parser.checkEncoding()
    // Some editors begin a file with the mark of UTF-8.
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { parser.place = 3 }
    let value = try parser.value(depth: 0)
    parser.skipSpace()
    guard parser.place == bytes.count else { throw parser.error("something follows its end") }
    return value
  }

  /// - Returns: the error, with the place where reading stopped.
  private func error(_ problem: String) -> JSONError {
    let before = bytes[..<place]
    let line = before.count { $0 == UInt8(ascii: "\n") } + 1
    let column = before.reversed().prefix { $0 != UInt8(ascii: "\n") }.count + 1
    return JSONError(description: "is not JSON: line \(line), column \(column): \(problem)")
  }

  private func checkEncoding() throws(JSONError) {
    guard String(validating: bytes, as: UTF8.self) == nil else { return }
    var rest = bytes[...]
    while let first = rest.first {
      var decoder = UTF8()
      var iterator = rest.makeIterator()
      guard case .scalarValue(let scalar) = decoder.decode(&iterator) else {
        let line = bytes[..<rest.startIndex].count { $0 == UInt8(ascii: "\n") } + 1
        let hexadecimal = String(first, radix: 16)
        throw JSONError(
          description: "is not UTF-8: line \(line) has the byte 0x\(hexadecimal); save the file as"
            + " UTF-8, and write such a byte of a file's name as \\udbff\\udf\(hexadecimal)")
      }
      rest = rest.dropFirst(UTF8.width(scalar))
    }
  }

  // MARK: Values

  private mutating func skipSpace() {
    while place < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[place]) { place += 1 }
  }

  /// Takes a character if it is the next one, after any space.
  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    skipSpace()
    guard place < bytes.count, bytes[place] == UInt8(ascii: character) else { return false }
    place += 1
    return true
  }

  private mutating func take(word: String) -> Bool {
    guard bytes[place...].starts(with: word.utf8) else { return false }
    place += word.utf8.count
    return true
  }

  private mutating func value(depth: Int) throws(JSONError) -> JSONValue {
    guard depth < Self.deepest else { throw error("more than \(Self.deepest) levels") }
    skipSpace()
    guard place < bytes.count else { throw error("a value is missing") }
    switch bytes[place] {
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try array(depth: depth)
    case UInt8(ascii: "\""): return .text(try text())
    default: break
    }
    if take(word: "null") { return .null }
    if take(word: "true") { return .flag(true) }
    if take(word: "false") { return .flag(false) }
    return try number()
  }

  private mutating func object(depth: Int) throws(JSONError) -> JSONValue {
    place += 1
    var members: [JSONValue.Member] = []
    if take("}") { return .object(members) }
    repeat {
      skipSpace()
      guard place < bytes.count, bytes[place] == UInt8(ascii: "\"") else {
        throw error("the name of a member is missing")
      }
      let name = try text()
      guard take(":") else { throw error("a colon is missing") }
      members.append(JSONValue.Member(name: name, value: try value(depth: depth + 1)))
    } while take(",")
    guard take("}") else { throw error("a comma or } is missing") }
    return .object(members)
  }

  private mutating func array(depth: Int) throws(JSONError) -> JSONValue {
    place += 1
    var values: [JSONValue] = []
    if take("]") { return .array(values) }
    repeat {
      values.append(try value(depth: depth + 1))
    } while take(",")
    guard take("]") else { throw error("a comma or ] is missing") }
    return .array(values)
  }

  // MARK: Numbers

  private mutating func digits() -> Int {
    let start = place
    while place < bytes.count, (0x30...0x39).contains(bytes[place]) { place += 1 }
    return place - start
  }

  private mutating func number() throws(JSONError) -> JSONValue {
    let start = place
    _ = take(word: "-")
    let isZero = place < bytes.count && bytes[place] == UInt8(ascii: "0")
    let count = digits()
    guard count > 0 else {
      place = start
      throw error("a value is missing")
    }
    guard count == 1 || !isZero else { throw error("a number begins with 0") }
    if take(word: "."), digits() == 0 { throw error("a digit is missing") }
    if take(word: "e") || take(word: "E") {
      if !take(word: "+") { _ = take(word: "-") }
      if digits() == 0 { throw error("a digit is missing") }
    }
    let text = String(decoding: bytes[start..<place], as: UTF8.self)
    if let integer = Int64(text) { return .integer(integer) }
    guard let number = Double(text), number.isFinite else {
      throw error("a number is out of range")
    }
    return Int64(exactly: number).map { .integer($0) } ?? .number(number)
  }

  // MARK: Texts

  private mutating func text() throws(JSONError) -> String {
    place += 1
    var text: [UInt8] = []
    while place < bytes.count {
      let byte = bytes[place]
      place += 1
      switch byte {
      case UInt8(ascii: "\""): return String(decoding: text, as: UTF8.self)
      case UInt8(ascii: "\\"): text += UTF8.encode(try escaped())!
      case ..<0x20:
        place -= 1
        throw error("a control character within a text")
      default: text.append(byte)
      }
    }
    throw error("the end of a text is missing")
  }

  private mutating func escaped() throws(JSONError) -> Unicode.Scalar {
    guard place < bytes.count else { throw error("the end of a text is missing") }
    let byte = bytes[place]
    place += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{C}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"): break
    default: throw error("an unknown escape within a text")
    }
    let first = try unit()
    if let scalar = Unicode.Scalar(UInt32(first)) { return scalar }
    // The first of two surrogates.
    guard first < 0xDC00, take(word: "\\u") else { throw error("half a surrogate pair") }
    let second = try unit()
    guard (0xDC00...0xDFFF).contains(second),
      let scalar = Unicode.Scalar(
        0x1_0000 + UInt32(first - 0xD800) << 10 + UInt32(second - 0xDC00))
    else { throw error("half a surrogate pair") }
    return scalar
  }

  private mutating func unit() throws(JSONError) -> UInt16 {
    let digits = bytes[place...].prefix(4)
    guard digits.count == 4, digits.allSatisfy({ Unicode.Scalar($0).properties.isASCIIHexDigit }),
      let unit = UInt16(String(decoding: digits, as: UTF8.self), radix: 16)
    else { throw error("four digits are missing") }
    place += 4
    return unit
  }
}
