internal import CLinux

/// One instruction of the classic Berkeley packet filter, as seccomp runs it over a `seccomp_data`.
///
/// Source: kernel, Documentation/networking/filter.rst and
/// Documentation/userspace-api/seccomp_filter.rst.
public struct BPFInstruction: Hashable, Sendable {
  /// Operation, addressing mode and operand size.
  public let code: UInt16
  /// How many instructions to skip if the condition holds, and if not.
  public let ifTrue: UInt8
  /// How many to skip if it does not hold.
  public let ifFalse: UInt8
  /// *k*: a constant, an offset or a distance.
  public let operand: UInt32

  private init(_ code: UInt16, _ operand: UInt32, ifTrue: UInt8 = 0, ifFalse: UInt8 = 0) {
    self.code = code
    self.ifTrue = ifTrue
    self.ifFalse = ifFalse
    self.operand = operand
  }

  /// Loads the 32-bit word at a byte offset of the data.
  static func load(_ offset: UInt32) -> BPFInstruction {
    BPFInstruction(CLINUX_BPF_LOAD, offset)
  }

  static func and(_ mask: UInt32) -> BPFInstruction {
    BPFInstruction(CLINUX_BPF_AND, mask)
  }

  static func jump(_ count: Int) -> BPFInstruction {
    BPFInstruction(CLINUX_BPF_JUMP, UInt32(count))
  }

  static func unlessEqual(_ value: UInt32, skip count: UInt8) -> BPFInstruction {
    BPFInstruction(CLINUX_BPF_IF_EQUAL, value, ifFalse: count)
  }

  static func ifEqual(_ value: UInt32, skip count: UInt8) -> BPFInstruction {
    BPFInstruction(CLINUX_BPF_IF_EQUAL, value, ifTrue: count)
  }

  static func unlessAtLeast(_ value: UInt32, skip count: UInt8) -> BPFInstruction {
    BPFInstruction(CLINUX_BPF_IF_AT_LEAST, value, ifFalse: count)
  }

  static func ifAtLeast(_ value: UInt32, skip count: UInt8) -> BPFInstruction {
    BPFInstruction(CLINUX_BPF_IF_AT_LEAST, value, ifTrue: count)
  }

  static func answer(_ value: UInt32) -> BPFInstruction {
    BPFInstruction(CLINUX_BPF_RETURN, value)
  }
}
