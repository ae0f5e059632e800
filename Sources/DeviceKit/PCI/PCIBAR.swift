/// A base address register: how much memory, or how many ports, it decodes, not where.
public struct PCIBAR: Hashable, Sendable {
  /// The register's number, 0 to 5. A 64-bit one takes the next number, too.
  public let index: Int
  /// What it decodes, in bytes or ports: a power of two.
  public let byteCount: UInt64
  /// Whether it has 64 address bits, in two registers.
  public let is64Bit: Bool
  /// Whether it decodes ports, not memory.
  public let isIO: Bool
  /// Whether reads have no side effects (bit 3).
  public let isPrefetchable: Bool

  /// A register of a device model of ours: values that PCI does not know trap.
  ///
  /// - Parameters:
  ///   - index: 0 to 5, at most 4 if `is64Bit`.
  ///   - byteCount: a power of two from 16 bytes to 1 GiB.
  public init(index: Int, byteCount: UInt64, is64Bit: Bool = false, isPrefetchable: Bool = false) {
    precondition((0...(is64Bit ? 4 : 5)).contains(index), "BAR \(index)")
    precondition(
      byteCount.nonzeroBitCount == 1 && (16...(1 << 30)).contains(byteCount),
      "BAR \(index) of \(byteCount) bytes")
    self.index = index
    self.byteCount = byteCount
    self.is64Bit = is64Bit
    self.isPrefetchable = isPrefetchable
    isIO = false
  }

  /// A register for ports; values that PCI does not know trap.
  ///
  /// - Parameters:
  ///   - index: 0 to 5.
  ///   - portCount: a power of two from 4 to 256.
  public init(index: Int, portCount: UInt64) {
    precondition((0...5).contains(index), "BAR \(index)")
    precondition(
      portCount.nonzeroBitCount == 1 && (4...256).contains(portCount),
      "BAR \(index) of \(portCount) ports")
    self.index = index
    byteCount = portCount
    is64Bit = false
    isPrefetchable = false
    isIO = true
  }

  /// The first register's offset in configuration space.
  var offset: Int {
    PCIRegister.firstBAR + 4 * index
  }

  /// Registers it takes, 1 or 2.
  var registerCount: Int {
    is64Bit ? 2 : 1
  }

  /// The read-only low bits: ports (bit 0), 64-bit (2:1 are 10), prefetchable (3).
  var typeBits: UInt32 {
    (isIO ? 1 : 0) | (is64Bit ? 4 : 0) | (isPrefetchable ? 8 : 0)
  }

  /// The address bits that can be written; the others stay 0, which is how a guest learns the size.
  var writableMask: UInt64 {
    ~(byteCount - 1)
  }
}

/// A BAR at the address where the guest, or the VMM, put it.
struct PlacedBAR: Hashable, Sendable {
  let index: Int
  let isIO: Bool
  let start: UInt64
  let byteCount: UInt64

  /// The last byte; a place near 2^64 may be one that wraps, which nothing reaches.
  var last: UInt64 { start &+ (byteCount - 1) }

  /// The offset of an access that is all inside; nil for any other.
  func offset(of address: UInt64, width: Int) -> UInt64? {
    guard address >= start else { return nil }
    let offset = address - start
    return offset < byteCount && byteCount - offset >= UInt64(width) ? offset : nil
  }
}
