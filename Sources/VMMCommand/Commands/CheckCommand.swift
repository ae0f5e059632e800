internal import KVM
internal import VMM

/// `vmm-run check`: what this host offers, what would be used, and how to get what is missing.
enum CheckCommand {
  static func run(_ options: CheckOptions) -> ExitStatus {
    let report = HostCheck.report()
    do {
      try OutputFile.writeStandardOutput(
        options.printsJSON ? try ReportJSON.text(report) : report.text)
    } catch {
      Diagnostics.report("\(error)")
      return .failure
    }
    return report.conclusions.canRunGuests ? .success : .hostCannot
  }
}
