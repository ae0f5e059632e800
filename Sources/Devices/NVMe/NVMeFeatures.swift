internal import DeviceKit

/// The values behind Get Features and Set Features (NVMe 1.4 §5.21.1).
///
/// Guests try many features and give up on a disk that knows none; most are stored and read back.
struct NVMeFeatures: Sendable {
  private static let powerManagement: UInt8 = 0x02
  private static let lbaRangeType: UInt8 = 0x03
  private static let volatileWriteCache: UInt8 = 0x06
  private static let numberOfQueues: UInt8 = 0x07
  private static let vectorConfiguration: UInt8 = 0x09

  private let pairCount: Int
  /// By feature identifier, 0x01 to 0x0B.
  private var values: [UInt32]
  /// *Coalescing Disable* of each vector.
  private var disablesCoalescing: [Bool]

  /// The values after a reset.
  ///
  /// - Parameter pairCount: queue pairs that a guest gets, at least 1, beside the admin pair.
  init(pairCount: Int) {
    self.pairCount = pairCount
    values = Array(repeating: 0, count: 0x0C)
    values[0x04] = 0x0157
    values[Int(Self.volatileWriteCache)] = 1
    disablesCoalescing = Array(repeating: false, count: pairCount + 1)
  }

  /// Whether data may stay in the host's cache until a flush.
  var hasWriteCache: Bool { values[Int(Self.volatileWriteCache)] & 1 == 1 }

  /// Answers Get Features.
  func get(_ command: NVMeCommand) throws(NVMeFailure) -> UInt32 {
    let feature = try Self.feature(command)
    // *SEL*, bits 10:8: there are current values only.
    guard command.dword(10) >> 8 & 7 == 0 else { throw NVMeFailure(.invalidField) }
    switch feature {
    case Self.numberOfQueues:
      return grantedQueues
    case Self.vectorConfiguration:
      let vector = try vector(command)
      return UInt32(vector) | (disablesCoalescing[vector] ? 1 << 16 : 0)
    default:
      return values[Int(feature)]
    }
  }

  /// Answers Set Features.
  mutating func set(_ command: NVMeCommand, hasIOQueues: Bool) throws(NVMeFailure) -> UInt32 {
    let feature = try Self.feature(command)
    // *SV*: nothing outlives a reset.
    guard command.dword(10) >> 31 == 0 else { throw NVMeFailure(.featureNotSaveable) }
    let value = command.dword(11)
    switch feature {
    case Self.numberOfQueues:
      guard !hasIOQueues else { throw NVMeFailure(.commandSequenceError) }
      guard value & 0xFFFF != 0xFFFF, value >> 16 != 0xFFFF else {
        throw NVMeFailure(.invalidField)
      }
      return grantedQueues
    case Self.powerManagement:
      // There is power state 0 only.
      guard value & 0x1F == 0 else { throw NVMeFailure(.invalidField) }
      values[Int(feature)] = value
    case Self.vectorConfiguration:
      disablesCoalescing[try vector(command)] = value >> 16 & 1 == 1
    default:
      values[Int(feature)] = value
    }
    return value
  }

  /// Zero-based, both kinds alike.
  private var grantedQueues: UInt32 {
    UInt32(pairCount - 1) << 16 | UInt32(pairCount - 1)
  }

  private static func feature(_ command: NVMeCommand) throws(NVMeFailure) -> UInt8 {
    let feature = UInt8(truncatingIfNeeded: command.dword(10))
    guard (0x01...0x0B).contains(feature), feature != lbaRangeType else {
      throw NVMeFailure(.invalidField)
    }
    return feature
  }

  private func vector(_ command: NVMeCommand) throws(NVMeFailure) -> Int {
    let vector = Int(command.dword(11) & 0xFFFF)
    guard disablesCoalescing.indices.contains(vector) else { throw NVMeFailure(.invalidField) }
    return vector
  }
}

extension NVMeFeatures {
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.integers(&values)
    try transfer.flags(&disablesCoalescing)
  }
}
