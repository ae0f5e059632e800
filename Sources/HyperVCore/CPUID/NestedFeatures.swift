/// What the hypervisor does for a guest with guests of its own: leaf 0x4000000A EAX.
///
/// Unknown bits are kept. A thread-safe value.
///
/// Source: TLFS, Feature Discovery, leaf 0x4000000A.
public struct NestedFeatures: OptionSet, Hashable, Sendable {
  /// The register value.
  public let rawValue: UInt32

  /// Wraps a register value.
  public init(rawValue: UInt32) {
    self.rawValue = rawValue
  }

  /// Bits 15:0, the enlightened VMCS versions: highest 1, lowest 1.
  public static let enlightenedVMCSVersion1 = NestedFeatures(rawValue: 0x0101)
  /// Direct virtual flush hypercalls, bit 17.
  public static let directFlush = NestedFeatures(rawValue: 1 << 17)
  /// Enlightened MSR bitmap, bit 19.
  public static let enlightenedMSRBitmap = NestedFeatures(rawValue: 1 << 19)

  /// The features that a set of enlightenments brings.
  public init(_ enlightenments: Enlightenments) {
    self = []
    if enlightenments.contains(.enlightenedVMCS) { insert(.enlightenedVMCSVersion1) }
    if enlightenments.contains(.directFlush) { insert(.directFlush) }
    if enlightenments.contains(.enlightenedMSRBitmap) { insert(.enlightenedMSRBitmap) }
  }
}
