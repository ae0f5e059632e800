/// What becomes of one system call.
public struct SystemCallRule: Hashable, Sendable {
  /// What the thread gets.
  public enum Answer: Hashable, Sendable {
    case allow
    /// The call does nothing and gives this error number.
    case fail(UInt16)
  }

  /// The call.
  public let call: SystemCall
  /// The answer holds if all tests of one of these hold; without any it always holds. Where none
  /// does the call is forbidden.
  public let alternatives: [[ArgumentTest]]
  /// What it gets where the rule holds.
  public let answer: Answer

  /// A rule; without alternatives for all arguments.
  public init(
    _ call: SystemCall, anyOf alternatives: [[ArgumentTest]] = [], answer: Answer = .allow
  ) {
    self.call = call
    self.alternatives = alternatives
    self.answer = answer
  }

  /// The argument that each alternative compares as a whole, and nothing else; nil if there is
  /// none.
  var comparedArgument: Int? {
    guard let index = alternatives.first?.first?.index else { return nil }
    let isAlike = alternatives.allSatisfy { tests in
      tests.count == 1 && tests[0].index == index && tests[0].mask == .max
    }
    return isAlike ? index : nil
  }
}

/// A test of the low 32 bits of one argument of a system call.
///
/// The low half suffices for every argument tested here: the kernel takes them as `int` or
/// `unsigned int`, or knows no flag above bit 31.
public struct ArgumentTest: Hashable, Sendable {
  /// 0 to 5.
  public let index: Int
  /// The bits that are looked at.
  public let mask: UInt32
  /// What the masked bits must be; no bit outside of `mask`.
  public let value: UInt32

  /// A test of some bits. An index above 5, or a value outside of the mask, traps.
  public init(_ index: Int, mask: UInt32, is value: UInt32) {
    precondition(0..<6 ~= index, "argument \(index)")
    precondition(value & ~mask == 0, "value \(value) outside mask \(mask)")
    self.index = index
    self.mask = mask
    self.value = value
  }

  /// All 32 bits have this value.
  public static func argument(_ index: Int, is value: UInt32) -> ArgumentTest {
    ArgumentTest(index, mask: .max, is: value)
  }

  /// None of the bits is set.
  public static func argument(_ index: Int, lacks bits: UInt32) -> ArgumentTest {
    ArgumentTest(index, mask: bits, is: 0)
  }

  /// Whether an argument passes the test.
  public func holds(for value: UInt64) -> Bool {
    UInt32(truncatingIfNeeded: value) & mask == self.value
  }
}
