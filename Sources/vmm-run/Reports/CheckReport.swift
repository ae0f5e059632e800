/// What `vmm-run check` found on this host. The property names are the keys of `check --json`.
struct CheckReport: Codable, Equatable, Sendable {
  enum Status: String, Codable, Sendable {
    case available
    /// This host does not have it.
    case missing
    /// It is there but does not work for this user, or not well enough.
    case unusable
  }

  /// One thing that was looked for.
  struct Finding: Codable, Equatable, Sendable {
    var name: String
    var status: Status
    /// What was seen: a version, a number, the system's answer.
    var detail: String
    /// How to get it; nil when nothing needs doing or nothing can be done.
    var cure: String?
  }

  /// What a guest started now would get; nil for what this host cannot give.
  struct Conclusions: Codable, Equatable, Sendable {
    /// The transport of the Hyper-V interface that `--hyperv auto` would choose.
    var hyperv: String?
    /// What would know which pages a guest has written.
    var writtenPageSource: String?
    /// What the sandbox of a run would consist of; nil if it would refuse without `--sandbox off`.
    var sandbox: String?
    var canRunGuests: Bool
  }

  var findings: [Finding]
  var conclusions: Conclusions
}
