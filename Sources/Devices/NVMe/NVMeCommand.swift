internal import Bytes
internal import DeviceKit

/// A submission queue entry, decoded (NVMe 1.4 §4.2). Every value is the guest's choice.
struct NVMeCommand: Sendable {
  /// Bytes of an entry.
  static let byteCount = 64
  /// A namespace identifier that means all.
  static let allNamespaces: UInt32 = 0xFFFF_FFFF

  var opcode: UInt8 = 0
  /// *FUSE* and *PSDT*, byte 1: fused operations and SGLs, neither of which is supported.
  var flags: UInt8 = 0
  var identifier: UInt16 = 0
  var namespace: UInt32 = 0
  var prp1: UInt64 = 0
  var prp2: UInt64 = 0
  /// Command Dwords 10 to 15.
  var dwords: [6 of UInt32] = .init(repeating: 0)

  init() {}

  /// Decodes an entry of 64 bytes.
  init(_ bytes: [UInt8]) {
    precondition(bytes.count == Self.byteCount, "NVMe command of \(bytes.count) bytes")
    opcode = bytes[0]
    flags = bytes[1]
    identifier = bytes.loadLE(at: 2)
    namespace = bytes.loadLE(at: 4)
    prp1 = bytes.loadLE(at: 24)
    prp2 = bytes.loadLE(at: 32)
    for index in dwords.indices { dwords[index] = bytes.loadLE(at: 40 + 4 * index) }
  }

  /// The entry's 64 bytes.
  var bytes: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Self.byteCount)
    bytes[0] = opcode
    bytes[1] = flags
    bytes.storeLE(identifier, at: 2)
    bytes.storeLE(namespace, at: 4)
    bytes.storeLE(prp1, at: 24)
    bytes.storeLE(prp2, at: 32)
    for index in dwords.indices { bytes.storeLE(dwords[index], at: 40 + 4 * index) }
    return bytes
  }

  /// Command Dword `number`, 10 to 15.
  func dword(_ number: Int) -> UInt32 {
    dwords[number - 10]
  }

  /// Whether data is described by PRPs and the command stands alone.
  var isSupportedForm: Bool {
    flags & 0b1100_0011 == 0
  }
}

/// What an executed command answers.
struct NVMeAnswer: Hashable, Sendable {
  var status: NVMeStatus
  /// Command specific, *Dword 0* of the completion.
  var result: UInt32 = 0

  static let success = NVMeAnswer(status: .success)

  static func failure(_ status: NVMeStatus) -> NVMeAnswer {
    NVMeAnswer(status: status)
  }
}

/// A completion queue entry (NVMe 1.4 §4.6), except the phase tag, which is the queue's.
struct NVMeCompletion: Hashable, Sendable {
  /// Bytes of an entry.
  static let byteCount = 16

  var answer: NVMeAnswer
  var submissionHead: UInt16
  var submissionQueue: UInt16
  var identifier: UInt16

  /// Dwords 0 to 2.
  var head: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 12)
    bytes.storeLE(answer.result, at: 0)
    bytes.storeLE(submissionHead, at: 8)
    bytes.storeLE(submissionQueue, at: 10)
    return bytes
  }

  /// Dword 3, by whose phase tag the guest finds the entry: it is written last.
  func tail(phase: Bool) -> UInt32 {
    UInt32(identifier) | (phase ? 1 << 16 : 0) | UInt32(answer.status.rawValue) << 17
  }
}
