internal import Bytes

/// A machine's UUID, in the order in which people and RFC 9562 write its 16 bytes.
public struct SystemUUID: Hashable, Sendable, CustomStringConvertible {
  /// All zero: the machine has none.
  public static let none = SystemUUID(bytes: [UInt8](repeating: 0, count: byteCount))

  static let byteCount = 16
  /// Bytes of the groups between the dashes.
  private static let groups = [4, 2, 2, 2, 6]

  /// As written, the first byte first.
  public let bytes: [UInt8]

  private init(bytes: [UInt8]) {
    self.bytes = bytes
  }

  /// From its usual text, `12345678-9abc-def0-1234-56789abcdef0`, upper or lower case; nil for any
  /// other.
  public init?(_ text: String) {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.map({ $0.utf8.count }) == Self.groups.map({ 2 * $0 }) else { return nil }
    var bytes: [UInt8] = []
    var digits = parts.joined()[...]
    while !digits.isEmpty {
      let pair = digits.prefix(2)
      guard pair.allSatisfy(\.isHexDigit), let byte = UInt8(pair, radix: 16) else { return nil }
      bytes.append(byte)
      digits = digits.dropFirst(2)
    }
    self.bytes = bytes
  }

  /// The UUID that stands for a name: the same for the same name, on every host.
  ///
  /// Version 8 of RFC 9562, the one for schemes of one's own: FNV-1a of the name in two halves. It
  /// names and does not protect: a user who chooses names can make two that collide.
  public init(naming name: String) {
    var bytes: [UInt8] = []
    for start: UInt64 in [0xCBF2_9CE4_8422_2325, 0x8422_2325_CBF2_9CE4] {
      var hash = start
      // FNV multiplies without carry by definition.
      for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
      bytes += hash.bigEndianBytes
    }
    bytes[6] = bytes[6] & 0x0F | 0x80
    bytes[8] = bytes[8] & 0x3F | 0x80
    self.bytes = bytes
  }

  /// One by chance, version 4 of RFC 9562: no other machine has it.
  package static func random() -> SystemUUID {
    var bytes = (0..<byteCount).map { _ in UInt8.random(in: .min ... .max) }
    bytes[6] = bytes[6] & 0x0F | 0x40
    bytes[8] = bytes[8] & 0x3F | 0x80
    return SystemUUID(bytes: bytes)
  }

  /// Lower case, with dashes.
  public var description: String {
    var rest = bytes[...]
    return Self.groups.map { count in
      defer { rest = rest.dropFirst(count) }
      return rest.prefix(count).map { byte in
        let digits = String(byte, radix: 16)
        return digits.count == 1 ? "0" + digits : digits
      }.joined()
    }.joined(separator: "-")
  }

  /// As SMBIOS has it: the first three groups are little-endian integers (SMBIOS 3.7 §7.2.1).
  public var wireBytes: [UInt8] {
    Array(bytes[0..<4].reversed() + bytes[4..<6].reversed() + bytes[6..<8].reversed() + bytes[8...])
  }
}
