/// `vmm-run run`.
enum RunCommand {
  static func run(_ options: RunOptions) -> ExitStatus {
    Diagnostics.report("'run' is not built into this program yet")
    return .failure
  }
}
