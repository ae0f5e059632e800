/// What of the interface is a value and no enlightenment. A thread-safe value.
public struct HyperVParameters: Hashable, Sendable {
  /// *Never notify* in ``spinRetryCount``.
  public static let neverNotifies: UInt32 = 0xFFFF_FFFF

  /// How often a guest tries to take a lock before it says by hypercall 0x0008 that it spins (leaf
  /// 0x40000004 EBX). Never, unless set: the processor's own pause detection sees it sooner. For
  /// hosts that run more vCPUs than they have processors QEMU advises 0xFFF.
  public var spinRetryCount = Self.neverNotifies
  /// The vendor.
  public var vendor = HypervisorVendor.microsoft
  /// The version.
  public var version = HypervisorVersion.default

  /// The defaults.
  public init() {}
}
