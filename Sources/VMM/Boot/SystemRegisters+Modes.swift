internal import KVM

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
