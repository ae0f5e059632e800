internal import DeviceKit

/// Why a SCSI command failed, in numbers. Source: SPC-4 §4.5.
struct SCSISense: Hashable, Sendable {
  /// *Sense key*.
  var key: UInt8
  /// *Additional sense code*.
  var code: UInt8
  /// *Additional sense code qualifier*.
  var qualifier: UInt8

  init(_ key: UInt8, _ code: UInt8, _ qualifier: UInt8 = 0) {
    self.key = key
    self.code = code
    self.qualifier = qualifier
  }

  static let none = SCSISense(0, 0)
  /// Medium not present, and why: the tray is closed, or open.
  static let noMedium = SCSISense(2, 0x3A, 1)
  static let trayOpen = SCSISense(2, 0x3A, 2)
  /// Unrecovered read error.
  static let readError = SCSISense(3, 0x11)
  static let invalidCommand = SCSISense(5, 0x20)
  static let blockOutOfRange = SCSISense(5, 0x21)
  static let invalidField = SCSISense(5, 0x24)
  /// Incompatible medium.
  static let wrongMedium = SCSISense(5, 0x30)
  static let savingNotSupported = SCSISense(5, 0x39)
  static let removalPrevented = SCSISense(5, 0x53, 2)
  /// Not ready to ready change: another medium may be in.
  static let mediumChanged = SCSISense(6, 0x28)

  /// The answer to REQUEST SENSE: fixed format, current errors.
  var bytes: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 18)
    bytes[0] = 0x70
    bytes[2] = key
    bytes[7] = 10
    bytes[12] = code
    bytes[13] = qualifier
    return bytes
  }
}

extension SCSISense {
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.integer(&key)
    try transfer.integer(&code)
    try transfer.integer(&qualifier)
  }
}
