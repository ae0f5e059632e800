internal import Bytes

/// A message of VMBus' control channel: what the payload of a SynIC message holds.
///
/// Source: Linux, include/linux/hyperv.h, `enum vmbus_channel_message_type` and the structures
/// behind it.
struct VMBusMessage: Equatable, Sendable {
  /// *msgtype*, the first word.
  struct Kind: RawRepresentable, Hashable, Sendable {
    let rawValue: UInt32

    static let offer = Kind(rawValue: 1)
    static let rescind = Kind(rawValue: 2)
    static let requestOffers = Kind(rawValue: 3)
    static let allOffers = Kind(rawValue: 4)
    static let open = Kind(rawValue: 5)
    static let openResult = Kind(rawValue: 6)
    static let close = Kind(rawValue: 7)
    static let gpadlHeader = Kind(rawValue: 8)
    static let gpadlBody = Kind(rawValue: 9)
    static let gpadlCreated = Kind(rawValue: 10)
    static let gpadlTeardown = Kind(rawValue: 11)
    static let gpadlTornDown = Kind(rawValue: 12)
    static let relidReleased = Kind(rawValue: 13)
    static let initiateContact = Kind(rawValue: 14)
    static let versionResponse = Kind(rawValue: 15)
    static let unload = Kind(rawValue: 16)
    static let unloadResponse = Kind(rawValue: 17)
    static let modify = Kind(rawValue: 22)
    static let modifyResponse = Kind(rawValue: 24)
  }

  /// What a SynIC message has room for.
  package static let maximumByteCount = 240
  static let headerByteCount = 8

  private(set) var bytes: [UInt8]

  /// One of the host's.
  init(_ kind: Kind, byteCount: Int = headerByteCount) {
    bytes = [UInt8](repeating: 0, count: byteCount)
    bytes.storeLE(kind.rawValue, at: 0)
  }

  /// One of the guest's; nil if it is not even a header.
  init?(_ bytes: [UInt8]) {
    guard bytes.count >= Self.headerByteCount, bytes.count <= Self.maximumByteCount else {
      return nil
    }
    self.bytes = bytes
  }

  var kind: Kind { Kind(rawValue: bytes.loadLE(at: 0)) }

  /// A word; nil beyond the message's end.
  func word(at offset: Int) -> UInt32? {
    bytes.loadLE(at: offset, byteCount: 4).map { UInt32(truncatingIfNeeded: $0) }
  }

  mutating func store<T: LittleEndianInteger>(_ value: T, at offset: Int) {
    bytes.storeLE(value, at: offset)
  }

  mutating func store(_ part: [UInt8], at offset: Int) {
    bytes.replaceSubrange(offset..<(offset + part.count), with: part)
  }
}

/// A version of the protocol: the major number in the high half.
struct VMBusVersion: RawRepresentable, Hashable, Sendable {
  let rawValue: UInt32

  init(rawValue: UInt32) {
    self.rawValue = rawValue
  }

  private init(_ major: UInt32, _ minor: UInt32) {
    rawValue = major << 16 | minor
  }

  /// 4.0, *VERSION_WIN10*.
  static let first = VMBusVersion(4, 0)
  /// 4.1, the first with `modify`.
  static let withModify = VMBusVersion(4, 1)
  /// 5.0, the first whose contact goes to a connection of its own, and says where the guest
  /// listens.
  static let withPlace = VMBusVersion(5, 0)
  /// 5.3, the first in which `modify` is answered.
  static let withModifyResponse = VMBusVersion(5, 3)

  /// What is spoken here. A guest that knows more steps down from version to version.
  static let supported: Set<VMBusVersion> = [
    .first, .withModify, .withPlace, VMBusVersion(5, 1), VMBusVersion(5, 2), .withModifyResponse,
  ]

  var canModify: Bool { rawValue >= Self.withModify.rawValue }
  var answersModify: Bool { rawValue >= Self.withModifyResponse.rawValue }
}
