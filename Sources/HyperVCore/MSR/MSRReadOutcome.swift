/// What RDMSR of a synthetic MSR does.
public enum MSRReadOutcome: Hashable, Sendable {
  /// The value for EDX:EAX.
  case value(UInt64)
  /// #GP: no such register here, or it is write-only.
  case fault
}
