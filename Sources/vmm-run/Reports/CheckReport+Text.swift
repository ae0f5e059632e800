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
