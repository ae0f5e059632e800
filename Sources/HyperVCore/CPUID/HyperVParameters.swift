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
  /// Whether there are connections that the guest may post messages and signal events to, as VMBus
  /// has: *PostMessages* and *SignalEvents* among its privileges.
  public var offersConnections = false

  /// The defaults.
  public init() {}
}

/// The vendor in leaf 0x40000000: up to 12 printable ASCII characters.
///
/// Windows does not look at it; Linux uses the interface only under the default. A thread-safe
/// value.
///
/// Source: TLFS, Feature Discovery, leaf 0x40000000.
public struct HypervisorVendor: Hashable, Sendable, CustomStringConvertible {
  /// Bytes of EBX, ECX and EDX.
  public static let maximumByteCount = 12

  /// "Microsoft Hv".
  public static let microsoft = HypervisorVendor(checked: "Microsoft Hv")

  /// The text, without the zeros that fill the registers.
  public let description: String

  private init(checked text: String) {
    description = text
  }

  /// Nil for an empty text, a longer one, and one with other characters.
  public init?(_ text: String) {
    guard (1...Self.maximumByteCount).contains(text.utf8.count),
      text.utf8.allSatisfy({ (0x20...0x7E).contains($0) })
    else { return nil }
    description = text
  }

  /// EBX, ECX or EDX, as 0, 1 or 2.
  func register(_ index: Int) -> UInt32 {
    description.utf8.dropFirst(4 * index).prefix(4).reversed()
      .reduce(0) { $0 << 8 | UInt32($1) }
  }
}
