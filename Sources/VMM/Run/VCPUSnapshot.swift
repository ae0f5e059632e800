public import KVM

/// What a vCPU was doing when it was looked at.
public struct VCPUSnapshot: Hashable, Sendable {
  /// RIP.
  public let instructionPointer: UInt64
  /// CPL.
  public let privilegeLevel: UInt8
  /// CR3.
  public let pageTables: UInt64
  /// RFLAGS.IF.
  public let takesInterrupts: Bool
  /// Whether it executes, waits for an interrupt, or waits to be started.
  public let activity: VCPUActivity

  /// Whether nothing but a reset or a non-maskable interrupt gets it going again.
  public var isHaltedForGood: Bool { activity == .halted && !takesInterrupts }
}

extension VCPUSnapshot {
  /// On the vCPU's thread, between two runs.
  init(of vcpu: borrowing VCPU) throws(KVMError) {
    let general = try vcpu.generalRegisters()
    let mode = try vcpu.processorMode()
    self.init(
      instructionPointer: general.rip, privilegeLevel: mode.privilegeLevel, pageTables: mode.cr3,
      takesInterrupts: general.rflags & (1 << 9) != 0, activity: try vcpu.activity())
  }
}
