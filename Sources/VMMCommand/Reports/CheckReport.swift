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

extension CheckReport {
  /// What a terminal shows: one line per finding, what to do below it, and what it amounts to.
  var text: String {
    var text = ""
    let nameWidth = findings.map(\.name.count).max() ?? 0
    let statusWidth = "available".count
    for finding in findings {
      let name = Self.padded(finding.name, to: nameWidth)
      let status = Self.padded(finding.status.rawValue, to: statusWidth)
      text += Self.trimmed("  \(name)  \(status)  \(finding.detail)")
      if let cure = finding.cure {
        text += Self.padded("", to: nameWidth + 4) + "-> \(cure)\n"
      }
    }
    return text + "\n" + conclusions.text
  }

  private static func padded(_ text: String, to width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }

  private static func trimmed(_ line: String) -> String {
    var line = line
    while line.last == " " { line.removeLast() }
    return line + "\n"
  }
}

extension CheckReport.Conclusions {
  var text: String {
    guard canRunGuests else {
      return "This host cannot run a guest; see the lines marked -> above.\n"
    }
    var table = TextTable([.left, .left])
    table.add("Hyper-V interface", hyperv ?? "none")
    table.add("written pages known by", writtenPageSource ?? "nothing: no memory is reported zero")
    table.add("sandbox", sandbox ?? "none: it runs with --sandbox off only")
    return "This host can run guests. A guest started now would get:\n\n" + table.text()
  }
}
