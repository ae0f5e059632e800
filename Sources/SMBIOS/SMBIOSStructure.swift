internal import Bytes

/// One structure while it is being made: a header, fields in order, and its texts (SMBIOS 3.7
/// §6.1).
struct SMBIOSStructure {
  private static let headerByteCount = 4

  private let type: UInt8
  private let handle: UInt16
  private var fields: [UInt8] = []
  private var texts: [String] = []

  init(type: UInt8, handle: UInt16) {
    self.type = type
    self.handle = handle
  }

  /// The next field.
  mutating func append<T: LittleEndianInteger>(_ value: T) {
    fields += value.littleEndianBytes
  }

  /// The next fields, as bytes.
  mutating func append(bytes: [UInt8]) {
    fields += bytes
  }

  /// The next field: the number of a text, from 1 on. Texts are ours, never the guest's; an empty
  /// one would end them all.
  mutating func append(_ text: String) {
    precondition(!text.isEmpty && text.utf8.allSatisfy { (0x20...0x7E).contains($0) }, text)
    texts.append(text)
    fields.append(UInt8(texts.count))
  }

  /// The next field: the number of a text, or 0 for none.
  mutating func append(optional text: String?) {
    if let text { append(text) } else { fields.append(0) }
  }

  /// A text that no field but their number names; texts count from 1.
  mutating func appendText(_ text: String) {
    append(text)
    fields.removeLast()
  }

  /// Where the next field comes, from the structure's start.
  var nextOffset: Int { Self.headerByteCount + fields.count }

  /// All of it, with the texts and the two zeroes that end it.
  var bytes: [UInt8] {
    precondition(nextOffset <= Int(UInt8.max), "SMBIOS structure of \(nextOffset) bytes")
    let ends: [UInt8] = texts.isEmpty ? [0, 0] : texts.flatMap { Array($0.utf8) + [0] } + [0]
    return [type, UInt8(nextOffset)] + handle.littleEndianBytes + fields + ends
  }
}
