public import DeviceKit
internal import Synchronization

/// The memory controller hub of the Q35 chipset (8086:29C0) at 00:00.0, as far as firmware looks at
/// it.
///
/// *PCIEXBAR* says where configuration registers are in memory, and acts. What says how RAM is
/// shared out between the processor and others (*PAM* and the like) is stored and does nothing: RAM
/// is where `GuestMemoryLayout` has it. With system management mode *SMRAM* and *ESMRAMC* open,
/// close and lock its memory, TSEG, whose place and size are fixed; without it they store, too.
public final class HostBridge: PCIFunction {
  /// Where firmware and drivers expect it.
  public static let address = PCIAddress(device: 0)

  /// *PCIEXBAR*, 64 bits.
  private static let expressBase = 0x60
  /// *PCIEXBAREN*: something is decoded.
  private static let expressEnable: UInt64 = 1
  /// *LENGTH*, bits 2:1.
  private static let expressLengthMask: UInt64 = 0x6
  /// The register's address bits; how many of the low ones count is a matter of the length.
  private static let expressAddressMask: UInt64 = 0xF_FC00_0000

  /// Registers that store: offset, value after reset, writable bits.
  private static let stored: [(offset: Int, initial: UInt32, mask: UInt32)] = [
    // *GGC*, graphics memory, and below it QEMU's register for a larger TSEG: firmware takes what
    // it reads back as it wrote it as "none".
    (0x50, 0, 0xFFFF_FFFF),
    // *PAM0* to *PAM6*: which parts of 0xC0000 to 0xFFFFF are RAM.
    (0x90, 0, 0x3333_3330), (0x94, 0, 0x0033_3333),
    // *SMRAM* and *ESMRAMC* in the middle bytes.
    (0x9C, 0x0038_0200, 0x00FF_7800),
    // *GBSM*, *BGSM*, *TSEGMB* and *TOLUD*: the ends of graphics memory, TSEG and low RAM.
    (0xA4, 0, 0xFFF0_0000), (0xA8, 0, 0xFFF0_0000), (0xAC, 0, 0xFFF0_0000), (0xB0, 0, 0xFFF0),
  ]

  /// *SMRAM* and, above it, *ESMRAMC*.
  private static let managementMemory = 0x9D
  /// *G_SMRAME* and *T_EN*: TSEG is there for system management mode alone.
  private static let managementMemoryIsClosed: UInt16 = 1 << 8 | 1 << 3
  /// *D_OPEN*, which is about the legacy area that this machine does not hide.
  private static let legacyIsOpen: UInt16 = 1 << 6
  /// *D_LCK*: nothing of this changes until a reset.
  private static let managementMemoryIsLocked: UInt16 = 1 << 4
  /// QEMU's register for the size of a TSEG that is larger than the chip's, in MiB: firmware that
  /// writes all ones reads the size.
  private static let managementMemorySize = 0x50

  /// Its configuration registers; it neither reaches memory nor interrupts.
  public let endpoint: PCIEndpoint

  /// The decoded range: its start, a multiple of 64 MiB, and the number of buses; 0 while none is.
  /// On its own, as every access to memory behind PCI looks at it.
  private let decoded = Atomic<UInt64>(0)
  private let management: ManagementMemory?

  /// The memory of system management mode, TSEG.
  public struct ManagementMemory: Sendable {
    /// In MiB.
    let mebibyteCount: UInt16
    let onChange: @Sendable (Bool) -> Void

    /// - Parameters:
    ///   - mebibyteCount: how large it is.
    ///   - onChange: called on a vCPU's thread under the bridge's lock, with whether the memory is
    ///     open to all accesses. It is at first.
    public init(mebibyteCount: UInt16, onChange: @escaping @Sendable (Bool) -> Void) {
      self.mebibyteCount = mebibyteCount
      self.onChange = onChange
    }
  }

  /// A bridge as after reset: nothing is decoded, TSEG is open.
  ///
  /// - Parameter management: nil without system management mode.
  public init(management: ManagementMemory? = nil) {
    self.management = management
    var space = PCIConfigurationSpace(
      identity: PCIIdentity(vendor: 0x8086, device: 0x29C0, classCode: 0x06_0000))
    space.makeWritable(
      Self.expressAddressMask | Self.expressLengthMask | Self.expressEnable, at: Self.expressBase)
    for register in Self.stored {
      space.preset(register.initial, at: register.offset)
      space.makeWritable(register.mask, at: register.offset)
    }
    endpoint = PCIEndpoint(space)
  }

  /// Where configuration registers are in memory now; nil if nowhere.
  public var configurationRange: PCIExpressRange? {
    // Relaxed, here and below: the value is all that is shared.
    let value = decoded.load(ordering: .relaxed)
    guard value != 0 else { return nil }
    return PCIExpressRange(
      start: value & Self.expressAddressMask, busCount: Int(value & ~Self.expressAddressMask))
  }

  /// Programs *PCIEXBAR* for 256 buses, as firmware does.
  ///
  /// - Parameter start: a multiple of 256 MiB below 64 GiB; other bits are dropped, as in the
  ///   register.
  public func placeConfiguration(at start: UInt64) {
    configuration.write(offset: Self.expressBase, width: 8, value: start | Self.expressEnable)
    configurationChanged()
  }

  /// The offset of an address among the configuration registers in memory; nil if it is none of
  /// them.
  func configurationOffset(of address: UInt64) -> UInt64? {
    guard let range = configurationRange, range.addresses.contains(address) else { return nil }
    return address - range.start
  }

  /// Follows *PCIEXBAR*, *SMRAM* and *ESMRAMC*.
  public func configurationChanged() {
    configuration.update { space in
      if let management { Self.follow(management, &space) }
      let value: UInt64 = space.value(at: Self.expressBase)
      let length = value & Self.expressLengthMask
      // The fourth length is reserved, and decodes nothing here.
      let isReserved = length == Self.expressLengthMask
      let busCount = isReserved ? 256 : UInt64(256) >> (length >> 1)
      let start = value & Self.expressAddressMask & ~(busCount << 20 - 1)
      // Address bits that the length takes away read as 0.
      let flags = value & (Self.expressLengthMask | Self.expressEnable)
      space.preset(start | flags, at: Self.expressBase)
      let isDecoded = flags & Self.expressEnable != 0 && !isReserved
      // In the lock, so that of two writes the later one stays.
      decoded.store(isDecoded ? start | busCount : 0, ordering: .relaxed)
    }
  }

  private static func follow(
    _ management: ManagementMemory, _ space: inout PCIConfigurationSpace
  ) {
    if space.value(at: managementMemorySize, as: UInt16.self) == .max {
      space.preset(management.mebibyteCount, at: managementMemorySize)
    }
    var memory: UInt16 = space.value(at: managementMemory)
    if memory & managementMemoryIsLocked != 0 {
      memory &= ~legacyIsOpen
      space.preset(memory, at: managementMemory)
      space.makeWritable(UInt16(0), at: managementMemory)
      space.makeWritable(UInt16(0), at: managementMemorySize)
    }
    management.onChange(memory & managementMemoryIsClosed != managementMemoryIsClosed)
  }

  /// Configuration registers come before BARs, as in the chip set.
  public var hiddenAddresses: Range<UInt64>? { configurationRange?.addresses }

  /// Nothing is decoded again.
  public func reset() {
    endpoint.reset()
    configurationChanged()
  }
}

extension HostBridge {
  /// The registers, and what follows from them.
  public func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try endpoint.transferState(&transfer)
    if transfer.isRestoring { configurationChanged() }
  }
}
