internal import Sandbox

extension HostCheck {
  /// What of the sandbox this kernel can put in force.
  static func sandboxFindings() -> [CheckReport.Finding] {
    let filters = SeccompFilter.isAvailable
    let abi = Landlock.abi
    let privileges = NoNewPrivileges.isSet
    return [
      .init(
        name: "no new privileges", status: privileges == nil ? .missing : .available,
        detail: privileges == true ? "set already by who started this" : "given up by a run",
        cure: nil),
      .init(
        name: "seccomp filters", status: filters ? .available : .missing,
        detail: "a list of system calls for each kind of thread",
        cure: filters
          ? nil : "use a kernel with CONFIG_SECCOMP_FILTER=y, or run with --sandbox off"),
      .init(
        name: "Landlock", status: abi > 0 ? .available : .missing,
        detail: abi > 0 ? "ABI \(abi): \(reach(ofABI: abi))" : "files stay within reach",
        cure: abi > 0 ? nil : "boot a kernel (Linux 5.13) with landlock in lsm="),
    ]
  }

  /// What a run would have in force, in one line; nil if it would refuse to run.
  static func sandboxConclusion() -> String? {
    guard SeccompFilter.isAvailable else { return nil }
    let abi = Landlock.abi
    return "no new privileges, seccomp" + (abi > 0 ? ", Landlock ABI \(abi)" : "; no Landlock")
  }

  private static func reach(ofABI abi: Int) -> String {
    var parts = ["files"]
    if abi >= 4 { parts.append("TCP") }
    if abi >= 5 { parts.append("devices") }
    if abi >= 6 { parts.append("signals") }
    return parts.joined(separator: ", ")
  }
}
