internal import DeviceKit

/// The controller's registers (NVMe 1.4 §3.1) without doorbells, as 32-bit halves.
struct NVMeRegisters: Sendable {
  /// Entries of the largest queue.
  static let maximumQueueEntryCount: UInt32 = 1024
  /// *VS*: 1.3. Later versions make a guest expect more than is here.
  static let version: UInt32 = 0x0001_0300
  /// Where doorbells begin, 4 bytes each (*CAP.DSTRD* is 0): submission 0, completion 0, submission
  /// 1, …
  static let doorbells: UInt64 = 0x1000

  /// *CAP*: queues of 1024 entries (15:0), contiguous (16), ready within 10 s (31:24), the NVM
  /// command set (37). Pages are 4 KiB: *MPSMIN* and *MPSMAX* are 0.
  static let capabilities: UInt64 =
    UInt64(maximumQueueEntryCount - 1) | 1 << 16 | 20 << 24 | 1 << 37

  private enum Offset {
    static let interruptMaskSet: UInt64 = 0x0C
    static let interruptMaskClear: UInt64 = 0x10
    static let configuration: UInt64 = 0x14
    static let status: UInt64 = 0x1C
    static let adminQueueAttributes: UInt64 = 0x24
    static let adminSubmissionQueue: UInt64 = 0x28
    static let adminCompletionQueue: UInt64 = 0x30
  }

  /// What a write asks the controller to do.
  enum Effect: Hashable {
    case none
    /// *CC.EN* from 0 to 1.
    case enable
    /// *CC.EN* from 1 to 0.
    case disable
    /// The pin's mask may have changed.
    case mask
  }

  /// *INTMS* and *INTMC*: vectors that do not assert the pin.
  var interruptMask: UInt32 = 0
  /// *CC*.
  var configuration: UInt32 = 0
  /// *AQA*: zero-based entries, submission in 11:0, completion in 27:16.
  var adminQueueAttributes: UInt32 = 0
  /// *ASQ*.
  var adminSubmissionQueue: UInt64 = 0
  /// *ACQ*.
  var adminCompletionQueue: UInt64 = 0
  /// *CSTS.RDY*.
  var isReady = false
  /// *CSTS.CFS*: the controller stopped; only a reset helps.
  var isFailed = false
  /// *CSTS.SHST* is *complete*.
  var isShutDown = false

  /// *CC.EN*.
  var isEnabled: Bool { configuration & 1 == 1 }

  /// *IOSQES* and *IOCQES* say entries of 64 and 16 bytes.
  var hasKnownEntrySizes: Bool { (configuration >> 16) & 0xFF == 0x46 }

  /// Entries of the admin queues.
  var adminSubmissionCount: UInt32 { (adminQueueAttributes & 0xFFF) + 1 }
  var adminCompletionCount: UInt32 { (adminQueueAttributes >> 16 & 0xFFF) + 1 }

  /// Whether the controller can be enabled as it is set up: the NVM command set (*CSS* 6:4), pages
  /// of 4 KiB (*MPS* 10:7), round robin (*AMS* 13:11), queues that *CAP* allows at page borders.
  var isValidSetup: Bool {
    let sizes = 2...Self.maximumQueueEntryCount
    return configuration & 0x3FF0 == 0 && sizes.contains(adminSubmissionCount)
      && sizes.contains(adminCompletionCount)
      && adminSubmissionQueue % 4096 == 0 && adminCompletionQueue % 4096 == 0
  }

  /// The 32 bits at a multiple of 4; 0 where nothing is.
  func read(_ offset: UInt64) -> UInt32 {
    switch offset {
    case 0x00: UInt32(truncatingIfNeeded: Self.capabilities)
    case 0x04: UInt32(truncatingIfNeeded: Self.capabilities >> 32)
    case 0x08: Self.version
    case Offset.interruptMaskSet, Offset.interruptMaskClear: interruptMask
    case Offset.configuration: configuration
    case Offset.status:
      (isReady ? 1 : 0) | (isFailed ? 2 : 0) | (isShutDown ? 2 << 2 : 0)
    case Offset.adminQueueAttributes: adminQueueAttributes
    case Offset.adminSubmissionQueue: UInt32(truncatingIfNeeded: adminSubmissionQueue)
    case Offset.adminSubmissionQueue + 4: UInt32(adminSubmissionQueue >> 32)
    case Offset.adminCompletionQueue: UInt32(truncatingIfNeeded: adminCompletionQueue)
    case Offset.adminCompletionQueue + 4: UInt32(adminCompletionQueue >> 32)
    default: 0
    }
  }

  /// Writes the 32 bits at a multiple of 4; dropped where nothing can be written.
  mutating func write(_ offset: UInt64, _ value: UInt32) -> Effect {
    switch offset {
    case Offset.interruptMaskSet:
      interruptMask |= value
      return .mask
    case Offset.interruptMaskClear:
      interruptMask &= ~value
      return .mask
    case Offset.configuration:
      return writeConfiguration(value)
    case Offset.adminQueueAttributes: adminQueueAttributes = value & 0x0FFF_0FFF
    case Offset.adminSubmissionQueue: Self.setLow(&adminSubmissionQueue, value & ~0xFFF)
    case Offset.adminSubmissionQueue + 4: Self.setHigh(&adminSubmissionQueue, value)
    case Offset.adminCompletionQueue: Self.setLow(&adminCompletionQueue, value & ~0xFFF)
    case Offset.adminCompletionQueue + 4: Self.setHigh(&adminCompletionQueue, value)
    default: break
    }
    return .none
  }

  private mutating func writeConfiguration(_ value: UInt32) -> Effect {
    let wasEnabled = isEnabled
    configuration = value & 0x00FF_FFF1
    // *SHN*, bits 15:14. Nothing needs time: what a guest wants to keep it flushes before.
    if value >> 14 & 3 != 0 { isShutDown = true }
    if wasEnabled == isEnabled { return .none }
    return isEnabled ? .enable : .disable
  }

  private static func setLow(_ register: inout UInt64, _ value: UInt32) {
    register = register & ~0xFFFF_FFFF | UInt64(value)
  }

  private static func setHigh(_ register: inout UInt64, _ value: UInt32) {
    register = register & 0xFFFF_FFFF | UInt64(value) << 32
  }
}

extension NVMeRegisters {
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.integer(&interruptMask)
    try transfer.integer(&configuration)
    try transfer.integer(&adminQueueAttributes)
    try transfer.integer(&adminSubmissionQueue)
    try transfer.integer(&adminCompletionQueue)
    try transfer.flag(&isReady)
    try transfer.flag(&isFailed)
    try transfer.flag(&isShutDown)
  }
}
