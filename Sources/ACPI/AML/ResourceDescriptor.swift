internal import Bytes

/// One entry of a resource template: an address range or an interrupt (ACPI 6.3 §6.4).
struct ResourceDescriptor: Hashable, Sendable {
  /// How an interrupt is signalled.
  enum Trigger: Sendable {
    case edge, level
  }

  /// Which level of the line is an interrupt.
  enum Polarity: Sendable {
    case activeHigh, activeLow
  }

  /// The encoded entry.
  let bytes: [UInt8]

  private init(bytes: [UInt8]) {
    self.bytes = bytes
  }

  /// A small entry: its tag has its length.
  init(small tag: UInt8, _ content: [UInt8]) {
    precondition(content.count < 8, "small resource descriptor of \(content.count) bytes")
    self.init(bytes: [tag << 3 | UInt8(content.count)] + content)
  }

  /// A large entry: a length of 16 bits follows its tag.
  init(large tag: UInt8, _ content: [UInt8]) {
    self.init(bytes: [0x80 | tag] + UInt16(content.count).littleEndianBytes + content)
  }

  /// What ends a list. Its checksum byte is 0, "treat as good": the table's own checksum covers it.
  static let end = ResourceDescriptor(small: 0x0F, [0])
}
