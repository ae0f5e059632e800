internal import CKVM

/// A vCPU's general registers, instruction pointer and flags.
public struct GeneralRegisters: Hashable, Sendable {
  /// RAX.
  public var rax: UInt64 = 0
  /// RBX.
  public var rbx: UInt64 = 0
  /// RCX.
  public var rcx: UInt64 = 0
  /// RDX.
  public var rdx: UInt64 = 0
  /// RSI.
  public var rsi: UInt64 = 0
  /// RDI.
  public var rdi: UInt64 = 0
  /// RSP.
  public var rsp: UInt64 = 0
  /// RBP.
  public var rbp: UInt64 = 0
  /// R8.
  public var r8: UInt64 = 0
  /// R9.
  public var r9: UInt64 = 0
  /// R10.
  public var r10: UInt64 = 0
  /// R11.
  public var r11: UInt64 = 0
  /// R12.
  public var r12: UInt64 = 0
  /// R13.
  public var r13: UInt64 = 0
  /// R14.
  public var r14: UInt64 = 0
  /// R15.
  public var r15: UInt64 = 0
  /// RIP: the next instruction's offset in CS.
  public var rip: UInt64 = 0
  /// RFLAGS; bit 1 is always set.
  public var rflags: UInt64 = 2

  /// All zero, except the bit of RFLAGS that is always set.
  public init() {}

  init(_ raw: kvm_regs) {
    rax = raw.rax
    rbx = raw.rbx
    rcx = raw.rcx
    rdx = raw.rdx
    rsi = raw.rsi
    rdi = raw.rdi
    rsp = raw.rsp
    rbp = raw.rbp
    r8 = raw.r8
    r9 = raw.r9
    r10 = raw.r10
    r11 = raw.r11
    r12 = raw.r12
    r13 = raw.r13
    r14 = raw.r14
    r15 = raw.r15
    rip = raw.rip
    rflags = raw.rflags
  }

  var raw: kvm_regs {
    kvm_regs(
      rax: rax, rbx: rbx, rcx: rcx, rdx: rdx, rsi: rsi, rdi: rdi, rsp: rsp, rbp: rbp,
      r8: r8, r9: r9, r10: r10, r11: r11, r12: r12, r13: r13, r14: r14, r15: r15,
      rip: rip, rflags: rflags)
  }
}
