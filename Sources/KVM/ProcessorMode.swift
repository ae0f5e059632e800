/// The system registers that say how a vCPU executes and translates addresses.
public struct ProcessorMode: Hashable, Sendable {
  /// PE in bit 0, PG in bit 31.
  public var cr0: UInt64
  /// The root of the page tables.
  public var cr3: UInt64
  /// PAE in bit 5, LA57 in bit 12.
  public var cr4: UInt64
  /// IA32_EFER.
  public var efer: UInt64
  /// CS.base: what RIP is an offset from outside 64-bit code.
  public var codeSegmentBase: UInt64
  /// CS.L; it means 64-bit code only while long mode is active.
  public var isCodeSegment64Bit: Bool
  /// SS.DPL, which is the CPL.
  public var privilegeLevel: UInt8

  /// A mode, for code that has no vCPU.
  public init(
    cr0: UInt64, cr3: UInt64, cr4: UInt64, efer: UInt64, codeSegmentBase: UInt64,
    isCodeSegment64Bit: Bool, privilegeLevel: UInt8
  ) {
    self.cr0 = cr0
    self.cr3 = cr3
    self.cr4 = cr4
    self.efer = efer
    self.codeSegmentBase = codeSegmentBase
    self.isCodeSegment64Bit = isCodeSegment64Bit
    self.privilegeLevel = privilegeLevel
  }

  /// CR0.PE.
  public var isProtected: Bool { cr0 & 1 != 0 }

  /// EFER.LMA.
  public var isLongModeActive: Bool { efer & (1 << 10) != 0 }
}

extension SystemRegisters {
  /// Those of them that say how the vCPU executes.
  public var mode: ProcessorMode {
    ProcessorMode(
      cr0: cr0, cr3: cr3, cr4: cr4, efer: efer, codeSegmentBase: cs.base,
      isCodeSegment64Bit: cs.isLong, privilegeLevel: ss.privilegeLevel)
  }
}
