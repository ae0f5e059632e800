internal import Bytes
internal import DeviceKit

/// A message of an integration service: a pipe's header, the service's header, and a body.
///
/// Source: Linux, include/linux/hyperv.h, `struct vmbuspipe_hdr` and `struct icmsg_hdr`.
struct IntegrationMessage: Equatable, Sendable {
  struct Kind: RawRepresentable, Hashable, Sendable {
    let rawValue: UInt16

    static let negotiate = Kind(rawValue: 0)
    static let heartbeat = Kind(rawValue: 1)
    static let shutdown = Kind(rawValue: 3)
    static let timeSync = Kind(rawValue: 4)
  }

  /// *ic_version*: of the frame, or of the service.
  struct Version: Hashable, Sendable {
    let major: UInt16
    let minor: UInt16

    init(_ major: UInt16, _ minor: UInt16) {
      self.major = major
      self.minor = minor
    }

    var word: UInt32 { UInt32(minor) << 16 | UInt32(major) }
  }

  private static let pipeHeaderByteCount = 8
  static let headerByteCount = 28
  /// *ICMSGHDRFLAG_TRANSACTION*, *_REQUEST*, *_RESPONSE*.
  private static let requestFlags: UInt8 = 1 | 2
  private static let responseFlag: UInt8 = 4

  var kind: Kind
  var frame = Version(1, 0)
  var version = Version(1, 0)
  var status: UInt32 = 0
  var transaction: UInt8 = 0
  var body: [UInt8]

  /// One of the host's.
  init(_ kind: Kind, transaction: UInt8, body: [UInt8]) {
    self.kind = kind
    self.transaction = transaction
    self.body = body
  }

  /// An answer of the guest's; nil if it is none.
  init?(_ bytes: [UInt8]) {
    guard bytes.count >= Self.headerByteCount, bytes[25] & Self.responseFlag != 0 else {
      return nil
    }
    kind = Kind(rawValue: bytes.loadLE(at: 12))
    status = bytes.loadLE(at: 20)
    transaction = bytes[24]
    body = Array(bytes[Self.headerByteCount...])
  }

  /// As the guest gets it.
  var bytes: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Self.headerByteCount)
    // *data* of a pipe, and its length without this header.
    bytes.storeLE(1 as UInt32, at: 0)
    bytes.storeLE(
      UInt32(Self.headerByteCount - Self.pipeHeaderByteCount + body.count), at: 4)
    bytes.storeLE(frame.word, at: 8)
    bytes.storeLE(kind.rawValue, at: 12)
    bytes.storeLE(version.word, at: 14)
    bytes.storeLE(UInt16(body.count), at: 18)
    bytes.storeLE(status, at: 20)
    bytes[24] = transaction
    bytes[25] = Self.requestFlags
    return bytes + body
  }
}

/// The beginning of every service: the host names versions, the guest picks.
struct IntegrationNegotiation: Sendable {
  typealias Version = IntegrationMessage.Version

  enum State: Equatable, Sendable {
    case closed
    case asked
    case agreed(frame: Version, service: Version)
    /// The guest takes none of the versions.
    case failed
  }

  /// *UTIL_WS2K8_FW_VERSION*, *UTIL_FW_VERSION*.
  private static let frames = [Version(1, 0), Version(3, 0)]

  let services: [Version]
  private(set) var state = State.closed

  init(_ services: [Version]) {
    self.services = services
  }

  /// The channel is open.
  mutating func begin(_ link: VMBusLink) {
    var body: [UInt8] = []
    body += UInt16(Self.frames.count).littleEndianBytes
    body += UInt16(services.count).littleEndianBytes
    body += (0 as UInt32).littleEndianBytes
    for version in Self.frames + services { body += version.word.littleEndianBytes }
    state = .asked
    if !link.send(IntegrationMessage(.negotiate, transaction: 0, body: body).bytes) {
      state = .failed
    }
  }

  mutating func end() {
    state = .closed
  }

  /// Takes the guest's choice. *icframe_vercnt* and *icmsg_vercnt* are 1 if it made one.
  mutating func receive(_ message: IntegrationMessage) {
    guard state == .asked, message.kind == .negotiate else { return }
    let body = message.body
    guard body.count >= 16, body.loadLE(at: 0, as: UInt32.self) == 0x1_0001 else {
      state = .failed
      return
    }
    let frame = Version(body.loadLE(at: 8), body.loadLE(at: 10))
    let service = Version(body.loadLE(at: 12), body.loadLE(at: 14))
    state =
      Self.frames.contains(frame) && services.contains(service)
      ? .agreed(frame: frame, service: service) : .failed
  }

  /// Saves or restores what came of it.
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    var kind: UInt8 = 0
    var words: [UInt32] = [0, 0]
    switch state {
    case .closed: break
    case .asked: kind = 1
    case .agreed(let frame, let service): (kind, words) = (2, [frame.word, service.word])
    case .failed: kind = 3
    }
    try transfer.integer(&kind, in: 0...3)
    try transfer.integers(&words)
    switch kind {
    case 0: state = .closed
    case 1: state = .asked
    case 2:
      guard let frame = Self.frames.first(where: { $0.word == words[0] }),
        let service = services.first(where: { $0.word == words[1] })
      else { throw .invalid("versions that were not offered") }
      state = .agreed(frame: frame, service: service)
    default: state = .failed
    }
  }

  /// A request in the versions that were agreed on; nil before.
  func request(
    _ kind: IntegrationMessage.Kind, transaction: UInt8, body: [UInt8]
  ) -> IntegrationMessage? {
    guard case .agreed(let frame, let service) = state else { return nil }
    var message = IntegrationMessage(kind, transaction: transaction, body: body)
    message.frame = frame
    message.version = service
    return message
  }
}
