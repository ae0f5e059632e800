internal import Bytes

/// A packet of a channel: a copy of it.
///
/// Source: Linux, include/linux/hyperv.h, `struct vmpacket_descriptor`.
struct VMBusPacket: Equatable, Sendable {
  struct Kind: RawRepresentable, Hashable, Sendable {
    let rawValue: UInt16

    /// *VM_PKT_DATA_INBAND*.
    static let inBand = Kind(rawValue: 6)
    /// *VM_PKT_COMP*.
    static let completion = Kind(rawValue: 11)
  }

  static let headerByteCount = 16

  var kind = Kind.inBand
  var wantsCompletion = false
  var transaction: UInt64 = 0
  var payload: [UInt8]

  /// The first 16 bytes, which nobody has checked.
  struct Header {
    let kind: Kind
    let headerByteCount: Int
    let byteCount: Int
    let wantsCompletion: Bool
    let transaction: UInt64

    init(_ bytes: [UInt8]) {
      kind = Kind(rawValue: bytes.loadLE(at: 0))
      headerByteCount = 8 * Int(bytes.loadLE(at: 2, as: UInt16.self))
      byteCount = 8 * Int(bytes.loadLE(at: 4, as: UInt16.self))
      wantsCompletion = bytes.loadLE(at: 6, as: UInt16.self) & 1 != 0
      transaction = bytes.loadLE(at: 8)
    }

    var isValid: Bool {
      headerByteCount >= VMBusPacket.headerByteCount && headerByteCount <= byteCount
    }
  }

  /// With its header, padded to 8 bytes.
  var bytes: [UInt8] {
    let byteCount = (Self.headerByteCount + payload.count + 7) & ~7
    var bytes = [UInt8](repeating: 0, count: Self.headerByteCount)
    bytes.storeLE(kind.rawValue, at: 0)
    bytes.storeLE(UInt16(Self.headerByteCount / 8), at: 2)
    bytes.storeLE(UInt16(byteCount / 8), at: 4)
    bytes.storeLE((wantsCompletion ? 1 : 0) as UInt16, at: 6)
    bytes.storeLE(transaction, at: 8)
    bytes += payload
    bytes += [UInt8](repeating: 0, count: byteCount - bytes.count)
    return bytes
  }
}
