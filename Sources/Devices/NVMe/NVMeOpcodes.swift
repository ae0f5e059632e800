/// Admin commands (NVMe 1.4 §5).
struct NVMeAdminOpcode: RawRepresentable, Hashable, Sendable {
  let rawValue: UInt8

  static let deleteSubmissionQueue = NVMeAdminOpcode(rawValue: 0x00)
  static let createSubmissionQueue = NVMeAdminOpcode(rawValue: 0x01)
  static let getLogPage = NVMeAdminOpcode(rawValue: 0x02)
  static let deleteCompletionQueue = NVMeAdminOpcode(rawValue: 0x04)
  static let createCompletionQueue = NVMeAdminOpcode(rawValue: 0x05)
  static let identify = NVMeAdminOpcode(rawValue: 0x06)
  static let abort = NVMeAdminOpcode(rawValue: 0x08)
  static let setFeatures = NVMeAdminOpcode(rawValue: 0x09)
  static let getFeatures = NVMeAdminOpcode(rawValue: 0x0A)
  static let asynchronousEventRequest = NVMeAdminOpcode(rawValue: 0x0C)
  static let doorbellBufferConfig = NVMeAdminOpcode(rawValue: 0x7C)

  /// Those that are supported.
  static let all: [NVMeAdminOpcode] = [
    .deleteSubmissionQueue, .createSubmissionQueue, .getLogPage, .deleteCompletionQueue,
    .createCompletionQueue, .identify, .abort, .setFeatures, .getFeatures,
    .asynchronousEventRequest, .doorbellBufferConfig,
  ]
}

/// Commands of the NVM command set (NVMe 1.4 §6).
struct NVMeIOOpcode: RawRepresentable, Hashable, Sendable {
  let rawValue: UInt8

  static let flush = NVMeIOOpcode(rawValue: 0x00)
  static let write = NVMeIOOpcode(rawValue: 0x01)
  static let read = NVMeIOOpcode(rawValue: 0x02)
  static let writeZeroes = NVMeIOOpcode(rawValue: 0x08)
  static let datasetManagement = NVMeIOOpcode(rawValue: 0x09)

  /// Those that are supported.
  static let all: [NVMeIOOpcode] = [.flush, .write, .read, .writeZeroes, .datasetManagement]

  /// Whether Command Dwords 10 and 11 name a sector.
  var hasSectors: Bool { self == .read || self == .write || self == .writeZeroes }

  /// Whether the command changes what is on the disk.
  var changesData: Bool { self != .flush && self != .read }
}
