internal import Bytes
internal import GuestMemory
internal import KVM

// The boot CPU's state. The other CPUs stay as they are after a reset and wait for the kernel.
extension LinuxBootPlan {
  /// __BOOT_CS and __BOOT_DS, which the 64-bit protocol wants in the table; then 32-bit code for
  /// PVH.
  private static let code64: UInt16 = 0x10
  private static let data: UInt16 = 0x18
  private static let code32: UInt16 = 0x20

  /// Two nulls, code64, data, code32: all flat, of ring 0.
  static let descriptorTable: [UInt8] = [UInt64](
    [0, 0, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF, 0x00CF_9B00_0000_FFFF]
  ).littleEndianBytes

  /// Sets the boot CPU's registers, fresh from a reset, for the kernel's entry.
  func enter(vcpu: borrowing VCPU) throws(MachineError) {
    try kvm { () throws(KVMError) in
      try vcpu.setSystemRegisters(systemRegisters(from: try vcpu.systemRegisters()))
      try vcpu.setGeneralRegisters(generalRegisters)
    }
  }

  /// Boot protocol: 64-bit mode, memory mapped to itself. PVH: 32-bit protected mode, no paging.
  func systemRegisters(from reset: SystemRegisters) -> SystemRegisters {
    var system = reset
    let code: SegmentRegister
    switch image {
    case .bzImage:
      code = .flat(selector: Self.code64, type: 0xB, isLong: true)
      system.enableLongMode(root: Self.tables.root)
    case .pvh:
      code = .flat(selector: Self.code32, type: 0xB)
      system.enableProtectedMode()
    }
    system.setFlatSegments(
      code: code, dataSelector: Self.data,
      descriptorTable: DescriptorTableRegister(
        base: Self.descriptorTableAddress.rawValue,
        limit: UInt16(Self.descriptorTable.count - 1)))
    return system
  }

  /// RSI or EBX tells where the boot information is; all others but RIP are 0, interrupts are off.
  var generalRegisters: GeneralRegisters {
    var general = GeneralRegisters()
    general.rip = entry.rawValue
    switch image {
    case .bzImage: general.rsi = Self.parametersAddress.rawValue
    case .pvh: general.rbx = Self.startInfoAddress.rawValue
    }
    return general
  }
}
