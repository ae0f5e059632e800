/// The bytes of an input as a stream of choices; zeros after its end, so that every input has a
/// meaning.
final class FuzzInput {
  private let bytes: [UInt8]
  private var offset = 0

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
  }

  var isEmpty: Bool { offset >= bytes.count }

  var byte: UInt8 {
    guard offset < bytes.count else { return 0 }
    defer { offset += 1 }
    return bytes[offset]
  }

  var bool: Bool { byte & 1 == 1 }
  var uint16: UInt16 { UInt16(byte) | UInt16(byte) << 8 }
  var uint32: UInt32 { UInt32(uint16) | UInt32(uint16) << 16 }
  var uint64: UInt64 { UInt64(uint32) | UInt64(uint32) << 32 }

  /// 0 to `bound - 1`, from one byte: 256 at most.
  func index(below bound: Int) -> Int {
    Int(byte) % bound
  }

  func pick<Element>(_ elements: [Element]) -> Element {
    elements[index(below: elements.count)]
  }

  /// A number that is as likely small as large, or is near a power of two, or that negated.
  var anyMagnitude: UInt64 {
    let choice = byte
    guard choice & 0x80 == 0 else {
      let value = 1 << UInt64(choice & 0x3F) &+ UInt64(bitPattern: Int64(Int8(bitPattern: byte)))
      return choice & 0x40 == 0 ? value : 0 &- value
    }
    var value: UInt64 = 0
    for shift in 0..<UInt64(choice % 9) { value |= UInt64(byte) << (8 * shift) }
    return value
  }

  /// At most `count` bytes; fewer at the end.
  func bytes(_ count: Int) -> [UInt8] {
    let taken = Array(bytes[offset..<min(offset + count, bytes.count)])
    offset += taken.count
    return taken
  }

  /// All that is left.
  var rest: [UInt8] { bytes(bytes.count - offset) }
}
