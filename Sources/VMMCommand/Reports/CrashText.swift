internal import HyperVCore
internal import VMM

/// A guest's crash report for people: which guest, the five parameters with their meaning, and the
/// message.
///
/// The message is the guest's and so hostile: at most 4096 bytes of it are there, and none of them
/// moves a cursor or begins a line of ours.
struct CrashText {
  /// Lines of the message; the last are the ones that matter.
  static let maximumLineCount = 80

  /// Without line feeds.
  let lines: [String]

  init(_ crash: GuestCrash) {
    lines =
      [Self.headline(crash)] + Self.parameters(crash) + Self.message(crash)
  }

  private static func headline(_ crash: GuestCrash) -> String {
    var text = "the guest reported its crash: \(crash.identity), on vCPU \(crash.vcpuID)"
    if crash.identity.family == .windows {
      let bugCheck = BugCheck(rawValue: crash.report.parameters[0])
      text += ", bug check \(hexadecimal(bugCheck.rawValue))"
      if let name = bugCheck.name { text += " \(name)" }
    }
    if crash.report.preOSID != 0 { text += ", before its operating system" }
    if crash.report.writesNoDump { text += "; it writes no dump" }
    return text
  }

  private static func parameters(_ crash: GuestCrash) -> [String] {
    let meanings = crash.report.parameterMeanings(of: crash.identity.family)
    return zip(crash.report.parameters, meanings).enumerated().map { index, parameter in
      let (value, meaning) = parameter
      return "  P\(index) \(hexadecimal(value))" + (meaning.isEmpty ? "" : "  \(meaning)")
    }
  }

  private static func message(_ crash: GuestCrash) -> [String] {
    guard let bytes = crash.message else {
      return crash.report.message == nil ? [] : ["its message lies outside its memory"]
    }
    var lines = String(decoding: bytes, as: UTF8.self)
      .split(omittingEmptySubsequences: true) { $0 == "\n" || $0 == "\r\n" }
      .map { "| " + escaped($0) }
    let excess = lines.count - maximumLineCount
    if excess > 0 {
      lines.removeFirst(excess)
      lines.insert("| (\(DecimalText.counted(UInt64(excess), "line")) before left out)", at: 0)
    }
    return ["its message, \(DecimalText.counted(UInt64(bytes.count), "byte")):"] + lines
  }

  private static func escaped(_ line: Substring) -> String {
    var shown = ""
    for scalar in line.unicodeScalars {
      switch scalar.properties.generalCategory {
      case .control where scalar != "\t", .format, .lineSeparator, .paragraphSeparator,
        .privateUse, .unassigned:
        shown += scalar.escaped(asASCII: true)
      default:
        shown.unicodeScalars.append(scalar)
      }
    }
    return shown
  }

  private static func hexadecimal(_ value: UInt64) -> String {
    "0x" + String(value, radix: 16)
  }
}
