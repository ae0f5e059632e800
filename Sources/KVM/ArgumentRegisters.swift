internal import CKVM

/// The general registers of a call that the guest makes of the VMM: where it is, and what it
/// passes.
///
/// Some of `GeneralRegisters`, so that a hypercall does not copy all of them twice.
public struct ArgumentRegisters: Hashable, Sendable {
  /// RAX: the input value's low half in 32-bit code.
  public let rax: UInt64
  /// RBX: the input address's high half in 32-bit code.
  public let rbx: UInt64
  /// RCX: the input value, or the input address's low half in 32-bit code.
  public let rcx: UInt64
  /// RDX: the input address, or the input value's high half in 32-bit code.
  public let rdx: UInt64
  /// RSI: the output address's low half in 32-bit code.
  public let rsi: UInt64
  /// RDI: the output address's high half in 32-bit code.
  public let rdi: UInt64
  /// R8: the output address in 64-bit code.
  public let r8: UInt64
  /// Where the call was made: the instruction, or the one behind it if KVM emulated it.
  public let rip: UInt64
}

extension VCPU {
  /// Some of `generalRegisters()`, and no more is copied. No system call after an exit that
  /// `synchronizeRegisters` was asked for.
  public func argumentRegisters() throws(KVMError) -> ArgumentRegisters {
    guard heldSets & CKVM_SYNC_X86_REGS != 0 else {
      let all = try generalRegisters()
      return ArgumentRegisters(
        rax: all.rax, rbx: all.rbx, rcx: all.rcx, rdx: all.rdx, rsi: all.rsi, rdi: all.rdi,
        r8: all.r8, rip: all.rip)
    }
    return unsafe ArgumentRegisters(
      rax: page.fields.s.regs.regs.rax, rbx: page.fields.s.regs.regs.rbx,
      rcx: page.fields.s.regs.regs.rcx, rdx: page.fields.s.regs.regs.rdx,
      rsi: page.fields.s.regs.regs.rsi, rdi: page.fields.s.regs.regs.rdi,
      r8: page.fields.s.regs.regs.r8, rip: page.fields.s.regs.regs.rip)
  }

  /// Replaces RAX and RDX, and no other register: what a call returns. After an exit that
  /// synchronised the registers, the next `run()` carries them along.
  public mutating func setResultRegisters(rax: UInt64, rdx: UInt64) throws(KVMError) {
    guard heldSets & CKVM_SYNC_X86_REGS != 0 else {
      var all = try generalRegisters()
      all.rax = rax
      all.rdx = rdx
      return try setGeneralRegisters(all)
    }
    page.setResultRegisters(rax: rax, rdx: rdx)
  }
}
