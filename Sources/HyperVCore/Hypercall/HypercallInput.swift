/// The hypercall input value: which call, in which form.
///
/// Every 64-bit value is representable, since a guest chooses it; ``HypercallDispatcher`` judges
/// it. A thread-safe value.
///
/// | bits  | field |
/// |-------|-------|
/// | 15:0  | call code |
/// | 16    | fast |
/// | 26:17 | variable header size, in quadwords |
/// | 30:27 | reserved, zero |
/// | 31    | is nested |
/// | 43:32 | rep count |
/// | 47:44 | reserved, zero |
/// | 59:48 | rep start index |
/// | 63:60 | reserved, zero |
///
/// Source: TLFS 6.0b §3.7; TLFS, Hypercall Interface, "Hypercall Inputs".
public struct HypercallInput: RawRepresentable, Hashable, Sendable {
  /// The bits that must be zero: 30:27, 47:44 and 63:60.
  public static let reservedMask: UInt64 = 0xF000_F000_7800_0000

  /// The input value as the guest gave it.
  public var rawValue: UInt64

  /// Wraps an input value.
  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  /// Composes an input value from its fields; reserved bits are zero.
  ///
  /// The header size takes 10 bits, the two rep fields 12 bits each. Higher bits of the arguments
  /// are cut off, so that no argument can reach a neighbouring field or trap.
  public init(
    callCode: HypercallCode,
    isFast: Bool = false,
    variableHeaderQuadwordCount: Int = 0,
    isNested: Bool = false,
    repCount: Int = 0,
    repStartIndex: Int = 0
  ) {
    rawValue = UInt64(callCode.rawValue)
    rawValue |= isFast ? Self.fastBit : 0
    rawValue |= isNested ? Self.nestedBit : 0
    rawValue |= (UInt64(truncatingIfNeeded: variableHeaderQuadwordCount) & 0x3FF) << 17
    rawValue |= (UInt64(truncatingIfNeeded: repCount) & 0xFFF) << 32
    rawValue |= (UInt64(truncatingIfNeeded: repStartIndex) & 0xFFF) << 48
  }

  /// *Call Code*, bits 15:0.
  public var callCode: HypercallCode {
    HypercallCode(rawValue: UInt16(truncatingIfNeeded: rawValue))
  }

  /// *Fast*, bit 16: parameters are in registers, the two GPAs are data.
  public var isFast: Bool { rawValue & Self.fastBit != 0 }

  /// The same call with its input in registers.
  public var fast: HypercallInput { HypercallInput(rawValue: rawValue | Self.fastBit) }

  /// *Variable header size*, bits 26:17, in quadwords (8 bytes each), 0...1023.
  public var variableHeaderQuadwordCount: Int { field(shift: 17, mask: 0x3FF) }

  /// *Is Nested*, bit 31: meant for the outermost hypervisor of a nested pair.
  public var isNested: Bool { rawValue & Self.nestedBit != 0 }

  /// *Rep Count*, bits 43:32: the number of list elements, 0...4095; 0 for a simple call.
  public var repCount: Int { field(shift: 32, mask: 0xFFF) }

  /// *Rep Start Index*, bits 59:48: the first element still to do, 0...4095.
  public var repStartIndex: Int { field(shift: 48, mask: 0xFFF) }

  /// The reserved bits that are set, in place; 0 in a well-formed value.
  public var reservedBits: UInt64 { rawValue & Self.reservedMask }

  private static let fastBit: UInt64 = 1 << 16
  static let variableHeaderMask: UInt64 = 0x3FF << 17
  static let nestedBit: UInt64 = 1 << 31
  /// Both rep fields.
  static let repMask: UInt64 = 0x0FFF_0FFF_0000_0000

  private func field(shift: UInt64, mask: UInt64) -> Int {
    Int(truncatingIfNeeded: (rawValue >> shift) & mask)
  }
}

extension HypercallInput: CustomStringConvertible {
  /// The call's name, then the whole value in hexadecimal.
  public var description: String { "\(callCode), input value \(rawValue.hexadecimal)" }
}
