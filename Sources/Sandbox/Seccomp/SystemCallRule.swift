/// What becomes of one system call.
public struct SystemCallRule: Hashable, Sendable {
  public enum Answer: Hashable, Sendable {
    case allow
    /// The call does nothing and gives this error number.
    case fail(UInt16)
  }

  public let call: SystemCall
  /// The answer holds if all tests of one of these hold; without any it always holds. Where none
  /// does the call is forbidden.
  public let alternatives: [[ArgumentTest]]
  public let answer: Answer

  public init(
    _ call: SystemCall, anyOf alternatives: [[ArgumentTest]] = [], answer: Answer = .allow
  ) {
    self.call = call
    self.alternatives = alternatives
    self.answer = answer
  }
}
