/// Whether the process gives up what its machine does not need, as `--sandbox` names it.
enum SandboxChoice: String, CaseIterable, Sendable {
  case on
  /// To debug: nothing is given up.
  case off
}
