/// One hypercall as the guest made it: the three values of the calling convention.
///
/// A thread-safe value, in which nothing has been checked yet.
///
/// Source: TLFS, Hypercall Interface, "Hypercall Inputs".
public struct HypercallRequest: Hashable, Sendable {
  /// The hypercall input value.
  public var input: HypercallInput

  /// The input parameters' GPA in bytes, or data in a fast call, or anything in a call without
  /// input.
  public var inputAddress: GuestAddress

  /// The output parameters' GPA in bytes, or data in a fast call, or anything in a call without
  /// output.
  public var outputAddress: GuestAddress

  /// Composes a request.
  public init(input: HypercallInput, inputAddress: GuestAddress, outputAddress: GuestAddress) {
    self.input = input
    self.inputAddress = inputAddress
    self.outputAddress = outputAddress
  }
}

/// The general registers that take part in a hypercall under either calling convention.
///
/// All are full 64-bit registers, also while the guest runs 32-bit code. A thread-safe value.
///
/// Source: TLFS, Hypercall Interface, "Hypercall Inputs" and "Hypercall Outputs".
public struct HypercallRegisters: Hashable, Sendable {
  /// RAX: the result (64-bit), or the input value's low half and the result's low half (32-bit).
  public var rax: UInt64
  /// RBX: the input GPA's high half (32-bit).
  public var rbx: UInt64
  /// RCX: the input value (64-bit), or the input GPA's low half (32-bit).
  public var rcx: UInt64
  /// RDX: the input GPA (64-bit), or the input value's high half and the result's high half
  /// (32-bit).
  public var rdx: UInt64
  /// RSI: the output GPA's low half (32-bit).
  public var rsi: UInt64
  /// RDI: the output GPA's high half (32-bit).
  public var rdi: UInt64
  /// R8: the output GPA (64-bit).
  public var r8: UInt64

  /// Composes a register set; registers not named are zero.
  public init(
    rax: UInt64 = 0, rbx: UInt64 = 0, rcx: UInt64 = 0, rdx: UInt64 = 0, rsi: UInt64 = 0,
    rdi: UInt64 = 0, r8: UInt64 = 0
  ) {
    self.rax = rax
    self.rbx = rbx
    self.rcx = rcx
    self.rdx = rdx
    self.rsi = rsi
    self.rdi = rdi
    self.r8 = r8
  }
}
