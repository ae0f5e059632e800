internal import GuestMemory

/// The status of a completed command: the 15 bits above the phase tag (NVMe 1.4 §4.6.1).
///
/// Code in bits 7:0, code type in 10:8, *More* in 13, *Do Not Retry* in 14.
struct NVMeStatus: RawRepresentable, Hashable, Sendable {
  let rawValue: UInt16

  init(rawValue: UInt16) {
    self.rawValue = rawValue
  }

  private init(type: UInt16, _ code: UInt16, isFinal: Bool = true) {
    rawValue = (isFinal ? Self.doNotRetry : 0) | type << 8 | code
  }

  /// *DNR*: the same command would fail again. So do all that are the guest's mistake.
  static let doNotRetry: UInt16 = 1 << 14

  /// *M*: the error log tells more.
  static let more: UInt16 = 1 << 13

  static let success = NVMeStatus(rawValue: 0)

  /// The same, of a failure that is in the error log.
  var withMore: NVMeStatus { NVMeStatus(rawValue: rawValue | Self.more) }

  /// Code type 2: the host could not read or write data.
  var isMediaError: Bool { rawValue >> 8 & 7 == 2 }

  // Generic command status.
  static let invalidOpcode = NVMeStatus(type: 0, 0x01)
  static let invalidField = NVMeStatus(type: 0, 0x02)
  /// *Data Transfer Error*: the guest named memory that is not RAM.
  static let dataTransferError = NVMeStatus(type: 0, 0x04)
  static let internalError = NVMeStatus(type: 0, 0x06, isFinal: false)
  static let invalidNamespace = NVMeStatus(type: 0, 0x0B)
  static let commandSequenceError = NVMeStatus(type: 0, 0x0C)
  static let prpOffsetInvalid = NVMeStatus(type: 0, 0x13)
  static let lbaOutOfRange = NVMeStatus(type: 0, 0x80)
  static let capacityExceeded = NVMeStatus(type: 0, 0x81)

  // Command specific status.
  static let completionQueueInvalid = NVMeStatus(type: 1, 0x00)
  static let invalidQueueIdentifier = NVMeStatus(type: 1, 0x01)
  static let invalidQueueSize = NVMeStatus(type: 1, 0x02)
  static let eventRequestLimitExceeded = NVMeStatus(type: 1, 0x05)
  static let invalidInterruptVector = NVMeStatus(type: 1, 0x08)
  static let invalidLogPage = NVMeStatus(type: 1, 0x09)
  static let invalidQueueDeletion = NVMeStatus(type: 1, 0x0C)
  static let featureNotSaveable = NVMeStatus(type: 1, 0x0D)
  static let writeToReadOnlyRange = NVMeStatus(type: 1, 0x82)

  // Media errors: the host's, and perhaps gone at the next try.
  static let writeFault = NVMeStatus(type: 2, 0x80, isFinal: false)
  static let unrecoveredReadError = NVMeStatus(type: 2, 0x81, isFinal: false)
}

extension NVMeStatus {
  /// What a guest is told of a back-end's error.
  init(_ error: BlockStoreError, isRead: Bool) {
    switch error {
    case .readOnly: self = .writeToReadOnlyRange
    case .transfer(_, GuestMemoryError.notRAM): self = .dataTransferError
    case _ where error.isOutOfSpace: self = .capacityExceeded
    default: self = isRead ? .unrecoveredReadError : .writeFault
    }
  }
}
