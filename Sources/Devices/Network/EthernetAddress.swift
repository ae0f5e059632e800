internal import Bytes

/// An Ethernet address, in the low 48 bits, its first byte highest.
struct EthernetAddress: Hashable, Sendable {
  static let byteCount = 6
  static let broadcast = EthernetAddress(rawValue: 0xFFFF_FFFF_FFFF)

  let rawValue: UInt64

  init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  /// The 6 bytes at an offset. Traps unless they lie wholly inside.
  init(_ bytes: RawSpan, at offset: Int = 0) {
    rawValue =
      UInt64(bytes.loadBE(at: offset, as: UInt16.self)) << 32
      | UInt64(bytes.loadBE(at: offset + 2, as: UInt32.self))
  }

  /// The 6 bytes at an offset. Traps unless they lie wholly inside.
  init(_ bytes: [UInt8], at offset: Int = 0) {
    // SAFETY: a byte is initialised and has no padding.
    self.init(unsafe bytes.span.bytes, at: offset)
  }

  /// Whether it is of a group, as *broadcast* is.
  var isGroup: Bool { rawValue >> 40 & 1 == 1 }

  var bytes: [UInt8] { Array(rawValue.bigEndianBytes.suffix(Self.byteCount)) }
}
