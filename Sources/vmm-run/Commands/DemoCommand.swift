/// `vmm-run demo`.
enum DemoCommand {
  static func run(_ options: DemoOptions) -> ExitStatus {
    Diagnostics.report("'demo' is not built into this program yet")
    return .failure
  }
}
