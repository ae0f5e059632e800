internal import Bytes
internal import GuestMemory

/// What goes over the connection: 16 bytes that say what it is and a version, then frames, each a
/// header and a payload. docs/migration.md has the order.
struct MigrationFrame: Equatable, Sendable {
  enum Kind: UInt32, CaseIterable, Sendable {
    /// What the machine is: an encoded `SavedMachine` without vCPUs and memory.
    case offer = 1
    /// Neighbouring pages; the argument is the first one's number.
    case pages
    /// Pages that are zero now: pairs of numbers, the first page and how many.
    case zeroes
    /// A piece of the encoded `SavedMachine`.
    case state
    /// That was all. The argument is the number of frames, the payload their checksum.
    case end
    /// Go on.
    case go

    // Back to the source.
    /// The destination can be such a machine.
    case accepted = 65
    /// Why it cannot, or could not: text.
    case refused
    /// It is that machine, and waits.
    case ready
    /// It goes on.
    case running

    /// The longest payload.
    var maximumByteCount: Int {
      switch self {
      case .offer: 4 << 20
      case .pages: MigrationFrame.maximumPageCount * 4096
      case .zeroes: MigrationFrame.maximumZeroRunCount * 16
      case .state: 1 << 20
      case .end: 8
      case .refused: 1024
      case .go, .accepted, .ready, .running: 0
      }
    }
  }

  static let signature = Array("vmm-run moves\0".utf8) + [1, 0]
  static let headerByteCount = 24
  /// 1 MiB in a frame.
  static let maximumPageCount = 256
  static let maximumZeroRunCount = 4096

  var kind: Kind
  var byteCount: Int
  var argument: UInt64
  /// Of the payload and the header.
  var checksum: UInt64

  /// - Parameter payload: not longer than the kind's limit.
  init(_ kind: Kind, argument: UInt64 = 0, payload: UnsafeRawBufferPointer) {
    precondition(payload.count <= kind.maximumByteCount, "\(kind) of \(payload.count) bytes")
    self.kind = kind
    self.argument = argument
    byteCount = payload.count
    checksum = 0
    checksum = unsafe checksum(of: payload)
  }

  var header: [UInt8] {
    kind.rawValue.littleEndianBytes + UInt32(byteCount).littleEndianBytes
      + argument.littleEndianBytes + checksum.littleEndianBytes
  }

  /// Reads a header.
  ///
  /// - Parameter bytes: as many as a header has, of any values.
  init(decoding bytes: [UInt8]) throws(MigrationError) {
    guard let kind = Kind(rawValue: bytes.loadLE(at: 0)) else {
      throw .format("a frame of an unknown kind")
    }
    let count: UInt32 = bytes.loadLE(at: 4)
    guard count <= kind.maximumByteCount else {
      throw .format("\(count) bytes of kind \(kind.rawValue)")
    }
    self.kind = kind
    byteCount = Int(count)
    argument = bytes.loadLE(at: 8)
    checksum = bytes.loadLE(at: 16)
  }

  /// What the checksum has to be.
  func checksum(of payload: UnsafeRawBufferPointer) -> UInt64 {
    let factor: UInt64 = 0x9E37_79B9_7F4A_7C15
    let header = (argument &* factor) ^ UInt64(kind.rawValue) << 32 ^ UInt64(byteCount)
    return (unsafe PageChecksum.value(of: payload) ^ header) &* factor
  }
}

/// A sum of frames, so that none is missing, there twice, or in another place.
struct MigrationSum: Equatable, Sendable {
  private(set) var frameCount: UInt64 = 0
  private(set) var value: UInt64 = 0

  mutating func add(_ frame: MigrationFrame) {
    frameCount += 1
    value = (value &* 0x9E37_79B9_7F4A_7C15 ^ value >> 31) &+ frame.checksum
  }
}
