/// `vmm-run check`.
enum CheckCommand {
  static func run(_ options: CheckOptions) -> ExitStatus {
    Diagnostics.report("'check' is not built into this program yet")
    return .failure
  }
}
