/// The value of an MSR that puts a page into guest memory: HYPERCALL and REFERENCE_TSC.
///
/// Bits 63:12 are the GPN and bit 0 enables the page. Bit 1 locks HYPERCALL; REFERENCE_TSC keeps it
/// like the other reserved bits, which a guest is to write as it read them. A thread-safe value.
///
/// Source: TLFS, Hypercall Interface, "Establishing the Hypercall Interface"; TLFS, Timers.
public struct OverlayPageMSR: RawRepresentable, Hashable, Sendable {
  /// The register value.
  public var rawValue: UInt64

  /// Wraps a register value.
  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  /// *Enable*, bit 0.
  public var isEnabled: Bool {
    get { rawValue & 1 != 0 }
    set { rawValue = newValue ? rawValue | 1 : rawValue & ~1 }
  }

  /// *Locked*, bit 1 of HYPERCALL: the register keeps its value until reset.
  public var isLocked: Bool { rawValue & 2 != 0 }

  /// The GPN in bits 63:12, below 2^52, whether enabled or not.
  public var page: UInt64 { rawValue >> 12 }

  /// The GPN if the page is enabled.
  public var enabledPage: UInt64? { isEnabled ? page : nil }
}
