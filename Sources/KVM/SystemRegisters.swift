internal import CKVM

/// A segment register with its hidden part. Source: SDM Vol. 3A §3.4.3.
public struct SegmentRegister: Hashable, Sendable {
  /// The linear address of its first byte.
  public var base: UInt64
  /// In bytes, already scaled by the granularity bit.
  public var limit: UInt32
  /// Index, table and RPL, as loaded into the visible part.
  public var selector: UInt16
  /// Code or data, access rights, accessed: 4 bits. Source: SDM Vol. 3A §3.4.5.1.
  public var type: UInt8
  /// P. A register that is not present is unusable.
  public var isPresent: Bool
  /// DPL, 0 to 3. SS's is the current privilege level.
  public var privilegeLevel: UInt8
  /// D/B: 32-bit.
  public var isDefault32Bit: Bool
  /// S: code or data, not a system segment.
  public var isCodeOrData: Bool
  /// L: 64-bit code.
  public var isLong: Bool
  /// G: the limit counts 4 KiB units.
  public var isPageGranular: Bool

  /// A flat 4 GiB segment.
  public static func flat(
    selector: UInt16, type: UInt8, privilegeLevel: UInt8 = 0, isLong: Bool = false
  ) -> SegmentRegister {
    SegmentRegister(
      base: 0, limit: 0xFFFF_FFFF, selector: selector, type: type, isPresent: true,
      privilegeLevel: privilegeLevel, isDefault32Bit: !isLong, isCodeOrData: true, isLong: isLong,
      isPageGranular: true)
  }

  /// A register with any hidden part; the kernel checks it when it is loaded.
  public init(
    base: UInt64, limit: UInt32, selector: UInt16, type: UInt8, isPresent: Bool,
    privilegeLevel: UInt8, isDefault32Bit: Bool, isCodeOrData: Bool, isLong: Bool,
    isPageGranular: Bool
  ) {
    self.base = base
    self.limit = limit
    self.selector = selector
    self.type = type
    self.isPresent = isPresent
    self.privilegeLevel = privilegeLevel
    self.isDefault32Bit = isDefault32Bit
    self.isCodeOrData = isCodeOrData
    self.isLong = isLong
    self.isPageGranular = isPageGranular
  }

  init(_ raw: kvm_segment) {
    self.init(
      base: raw.base, limit: raw.limit, selector: raw.selector, type: raw.type,
      isPresent: raw.present != 0, privilegeLevel: raw.dpl, isDefault32Bit: raw.db != 0,
      isCodeOrData: raw.s != 0, isLong: raw.l != 0, isPageGranular: raw.g != 0)
  }

  /// What the type does not name (AVL) is that of `kept`.
  func raw(keeping kept: kvm_segment) -> kvm_segment {
    var raw = kept
    raw.base = base
    raw.limit = limit
    raw.selector = selector
    raw.type = type
    raw.present = isPresent ? 1 : 0
    raw.dpl = privilegeLevel
    raw.db = isDefault32Bit ? 1 : 0
    raw.s = isCodeOrData ? 1 : 0
    raw.l = isLong ? 1 : 0
    raw.g = isPageGranular ? 1 : 0
    raw.unusable = isPresent ? 0 : 1
    return raw
  }
}

/// GDTR or IDTR.
public struct DescriptorTableRegister: Hashable, Sendable {
  /// The linear address of the table.
  public var base: UInt64
  /// Last byte's offset.
  public var limit: UInt16

  /// A register as LGDT and LIDT load it.
  public init(base: UInt64, limit: UInt16) {
    self.base = base
    self.limit = limit
  }
}

/// The system registers of a vCPU that this project sets or reads.
///
/// What it does not name (CR8, the APIC base, pending interrupts) is kept when it is written back.
public struct SystemRegisters: Sendable {
  /// CS.
  public var cs: SegmentRegister
  /// DS.
  public var ds: SegmentRegister
  /// ES.
  public var es: SegmentRegister
  /// FS.
  public var fs: SegmentRegister
  /// GS.
  public var gs: SegmentRegister
  /// SS; its privilege level is the CPL.
  public var ss: SegmentRegister
  /// GDTR.
  public var gdt: DescriptorTableRegister
  /// IDTR.
  public var idt: DescriptorTableRegister
  /// CR0.
  public var cr0: UInt64
  /// CR2: the linear address of the last page fault.
  public var cr2: UInt64
  /// CR3: the root of the page tables.
  public var cr3: UInt64
  /// CR4.
  public var cr4: UInt64
  /// IA32_EFER.
  public var efer: UInt64
  private let kept: kvm_sregs

  /// All zero: for code that computes with registers and has no vCPU.
  package static var blank: SystemRegisters { SystemRegisters(kvm_sregs()) }

  init(_ raw: kvm_sregs) {
    cs = SegmentRegister(raw.cs)
    ds = SegmentRegister(raw.ds)
    es = SegmentRegister(raw.es)
    fs = SegmentRegister(raw.fs)
    gs = SegmentRegister(raw.gs)
    ss = SegmentRegister(raw.ss)
    gdt = DescriptorTableRegister(base: raw.gdt.base, limit: raw.gdt.limit)
    idt = DescriptorTableRegister(base: raw.idt.base, limit: raw.idt.limit)
    cr0 = raw.cr0
    cr2 = raw.cr2
    cr3 = raw.cr3
    cr4 = raw.cr4
    efer = raw.efer
    kept = raw
  }

  var raw: kvm_sregs {
    var raw = kept
    raw.cs = cs.raw(keeping: kept.cs)
    raw.ds = ds.raw(keeping: kept.ds)
    raw.es = es.raw(keeping: kept.es)
    raw.fs = fs.raw(keeping: kept.fs)
    raw.gs = gs.raw(keeping: kept.gs)
    raw.ss = ss.raw(keeping: kept.ss)
    raw.gdt.base = gdt.base
    raw.gdt.limit = gdt.limit
    raw.idt.base = idt.base
    raw.idt.limit = idt.limit
    raw.cr0 = cr0
    raw.cr2 = cr2
    raw.cr3 = cr3
    raw.cr4 = cr4
    raw.efer = efer
    return raw
  }
}
