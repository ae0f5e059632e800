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
}
