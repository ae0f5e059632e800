/// What WRMSR of a synthetic MSR does.
public enum MSRWriteOutcome: Hashable, Sendable {
  /// The register took the value, or ignored it; what the VMM has yet to do, in order.
  case done([MSREffect])
  /// #GP: no such register here, it is read-only, or the value is not legal. Nothing changed.
  case fault
}
