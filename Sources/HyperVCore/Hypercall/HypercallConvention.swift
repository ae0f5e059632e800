/// Which registers carry a hypercall.
///
/// The caller's code width at the time of the call decides, not the operating system's. A
/// thread-safe value.
///
/// | value        | 64-bit | 32-bit  |
/// |--------------|--------|---------|
/// | input value  | RCX    | EDX:EAX |
/// | input GPA    | RDX    | EBX:ECX |
/// | output GPA   | R8     | EDI:ESI |
/// | result value | RAX    | EDX:EAX |
///
/// Source: TLFS, Hypercall Interface, "Hypercall Inputs" and "Hypercall Outputs".
public enum HypercallConvention: Hashable, Sendable {
  /// Register pairs, high half first.
  case bits32
  /// Whole 64-bit registers.
  case bits64

  /// The convention of the code that is running.
  ///
  /// 64-bit only if long mode is active (EFER.LMA) *and* the code segment is 64-bit (CS.L): CS.L
  /// means something else outside long mode, and long mode also runs 32-bit segments.
  public init(isLongModeActive: Bool, isCodeSegment64Bit: Bool) {
    self = isLongModeActive && isCodeSegment64Bit ? .bits64 : .bits32
  }

  /// The request that these registers make.
  ///
  /// Under the 32-bit convention the upper halves of all registers are ignored: 32-bit code cannot
  /// see what 64-bit code left there.
  public func request(from registers: HypercallRegisters) -> HypercallRequest {
    switch self {
    case .bits64:
      HypercallRequest(
        input: HypercallInput(rawValue: registers.rcx),
        inputAddress: GuestAddress(rawValue: registers.rdx),
        outputAddress: GuestAddress(rawValue: registers.r8))
    case .bits32:
      HypercallRequest(
        input: HypercallInput(rawValue: Self.pair(high: registers.rdx, low: registers.rax)),
        inputAddress: GuestAddress(rawValue: Self.pair(high: registers.rbx, low: registers.rcx)),
        outputAddress: GuestAddress(rawValue: Self.pair(high: registers.rdi, low: registers.rsi)))
    }
  }

  /// Puts a result where the guest expects it; all other registers stay as they are.
  ///
  /// 64-bit: RAX. 32-bit: EAX and EDX, each zero-extended, as every 32-bit register write is.
  public func setResult(_ result: HypercallResult, in registers: inout HypercallRegisters) {
    switch self {
    case .bits64:
      registers.rax = result.rawValue
    case .bits32:
      registers.rax = result.rawValue & 0xFFFF_FFFF
      registers.rdx = result.rawValue >> 32
    }
  }

  private static func pair(high: UInt64, low: UInt64) -> UInt64 {
    high << 32 | low & 0xFFFF_FFFF
  }
}
