/// Which extended hypercalls exist: the output of *HvExtCallQueryCapabilities* (0x8001).
///
/// Unknown bits are kept. A thread-safe value.
///
/// Source: TLFS 6.0b §3.14 for bits 0 to 4; Linux, include/hyperv/hvgdk_ext.h for bit 8.
public struct ExtendedCapabilities: OptionSet, Hashable, Sendable {
  /// The 64-bit capability mask as the guest gets it.
  public let rawValue: UInt64

  /// Wraps a capability mask.
  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  /// Bytes of the encoded mask.
  public static let byteCount = 8

  /// *GetBootZeroedMemory*, bit 0: call 0x8002.
  public static let bootZeroedMemory = ExtendedCapabilities(rawValue: 1 << 0)
  /// *MemoryHeatHint*, bit 1: call 0x8003.
  public static let memoryHeatHint = ExtendedCapabilities(rawValue: 1 << 1)
  /// *EpfSetup*, bit 2: call 0x8004.
  public static let epfSetup = ExtendedCapabilities(rawValue: 1 << 2)
  /// *SchedulerAssistSetup*, bit 3: call 0x8005.
  public static let schedulerAssistSetup = ExtendedCapabilities(rawValue: 1 << 3)
  /// *MemoryHeatHintAsync*, bit 4: call 0x8006.
  public static let memoryHeatHintAsync = ExtendedCapabilities(rawValue: 1 << 4)
  /// Bit 8: the heat hint 0x8003 may ask for cold memory to be discarded.
  ///
  /// Not in the TLFS, where bits 63:5 are reserved; Linux guests test it.
  public static let memoryColdDiscardHint = ExtendedCapabilities(rawValue: 1 << 8)

  /// The mask as 8 little-endian bytes.
  public func encode() -> [UInt8] {
    [UInt8](zeroCount: Self.byteCount) { encode(into: &$0) }
  }

  /// Stores the mask as 8 little-endian bytes.
  public func encode(into bytes: inout MutableRawSpan) {
    bytes.storeLE(rawValue, at: 0)
  }
}
