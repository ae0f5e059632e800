internal import Bytes
internal import GuestMemory
internal import KVM

/// The processor state in which a flat program is entered: 64-bit mode, ring 0, interrupts off, no
/// interrupt descriptor table. Source: SDM Vol. 3A §9.8.5.
enum LongMode {
  static let kernelCode: UInt16 = 0x08
  static let kernelData: UInt16 = 0x10

  /// Null, kernel code64 and data, then user code32, data and code64 in the order SYSRET wants,
  /// and a 32-bit kernel code segment for compatibility mode.
  static let descriptorTable: [UInt8] = [UInt64](
    [
      0, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF,
      0x00CF_FB00_0000_FFFF, 0x00CF_F300_0000_FFFF, 0x00AF_FB00_0000_FFFF,
      0x00CF_9B00_0000_FFFF,
    ]
  ).littleEndianBytes

  /// Fills in what `vcpu` needs to start `plan`'s program.
  static func enter(_ plan: BootPlan, vcpu: borrowing VCPU) throws(KVMError) {
    var system = try vcpu.systemRegisters()
    system.setFlatSegments(
      code: .flat(selector: kernelCode, type: 0xB, isLong: true), dataSelector: kernelData,
      descriptorTable: DescriptorTableRegister(
        base: BootPlan.descriptorTableAddress.rawValue, limit: UInt16(descriptorTable.count - 1)))
    system.enableLongMode(root: plan.tables.root)
    try vcpu.setSystemRegisters(system)

    var general = GeneralRegisters()
    general.rip = BootPlan.programAddress.rawValue
    general.rsp = BootPlan.stackTop(vcpu: Int(vcpu.id))
    general.rdi = BootPlan.informationAddress.rawValue
    general.rsi = UInt64(vcpu.id)
    try vcpu.setGeneralRegisters(general)
  }
}

// What every way of starting a guest without firmware sets. Source: SDM Vol. 3A §9.8.5.
extension SystemRegisters {
  /// Flat segments of ring 0 from a descriptor table, and no interrupt descriptor table.
  ///
  /// The task register is that of a reset, a busy 32-bit task state segment: good for every mode.
  mutating func setFlatSegments(
    code: SegmentRegister, dataSelector: UInt16, descriptorTable: DescriptorTableRegister
  ) {
    cs = code
    let data = SegmentRegister.flat(selector: dataSelector, type: 0x3)
    ds = data
    es = data
    fs = data
    gs = data
    ss = data
    gdt = descriptorTable
    idt = DescriptorTableRegister(base: 0, limit: 0)
  }

  /// Paging with four levels of tables at `root`, and long mode.
  mutating func enableLongMode(root: UInt64) {
    cr0 = 0x8000_0031  // PG, NE, ET, PE
    cr3 = root
    cr4 = 0x20  // PAE
    efer = 0x501  // LMA, LME, SCE
  }

  /// 32-bit protected mode without paging.
  mutating func enableProtectedMode() {
    cr0 = 0x11  // ET, PE
    cr3 = 0
    cr4 = 0
    efer = 0
  }
}
