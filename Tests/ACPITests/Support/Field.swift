import Testing

/// A number's place in a table and the value that it must have.
struct Field: CustomTestStringConvertible, Sendable {
  let name: String
  let byteOffset: Int
  let byteCount: Int
  let value: UInt64

  init(_ name: String, at byteOffset: Int, _ byteCount: Int, _ value: UInt64) {
    self.name = name
    self.byteOffset = byteOffset
    self.byteCount = byteCount
    self.value = value
  }

  var testDescription: String { "\(name) at \(byteOffset)" }

  func value(in table: [UInt8]) -> UInt64 {
    table.number(at: byteOffset, byteCount: byteCount)
  }
}
