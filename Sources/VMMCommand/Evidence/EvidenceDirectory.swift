internal import Devices
internal import Glibc
internal import HostSystem
internal import MachineSpecification

/// The directory of `--evidence`: in it each run has one of its own, `run-1`, `run-2` and so on.
struct EvidenceDirectory {
  /// More than anybody compares.
  static let maximumRunCount = 99

  let path: String

  /// The directory of the next run, made now. Before the sandbox closes.
  func makeRun() throws(SystemError) -> String {
    guard try OutputFile.makeDirectory(path) || isThere else {
      throw SystemError("make the directory \(path)", code: EEXIST)
    }
    for number in 1...Self.maximumRunCount {
      let run = "\(path)/run-\(number)"
      // Whoever makes it has it: two runs at once take two numbers.
      if try OutputFile.makeDirectory(run) { return run }
    }
    throw SystemError(
      "keep evidence in \(path)", code: EEXIST,
      cure: "it has \(Self.maximumRunCount) runs; name another directory")
  }

  /// The runs that are there, by their numbers.
  var runs: [(name: String, path: String)] {
    (1...Self.maximumRunCount).map { ("run-\($0)", "\(path)/run-\($0)") }
      .filter { Self.isDirectory($0.1) }
  }

  var isThere: Bool { Self.isDirectory(path) }

  private static func isDirectory(_ path: String) -> Bool {
    var status = stat()
    // SAFETY: the structure lives for the call; the path is lent, terminated.
    return unsafe HostPath(argument: path).withCString { unsafe stat($0, &status) } == 0
      && status.st_mode & S_IFMT == S_IFDIR
  }
}

/// A file of a run's evidence. Nothing of it names this host, its user, or a file of theirs.
enum EvidenceFile: String, CaseIterable {
  case about = "about.json"
  case hypercalls = "hypercalls.jsonl"
  case samples = "samples.jsonl"
  case registers = "registers.jsonl"
  case unclaimed = "unclaimed.txt"
  case outcome = "outcome.json"

  /// What screenshots are called, with their seconds since the run began.
  static let screenPrefix = "screen-"
  static let screenSuffix = ".png"

  static func screen(atSecond second: Int) -> String {
    let digits = String(second)
    return screenPrefix + String(repeating: "0", count: max(0, 6 - digits.count)) + digits
      + screenSuffix
  }

  /// Whether a name is that of a screenshot.
  static func isScreen(_ name: String) -> Bool {
    name.hasPrefix(screenPrefix) && name.hasSuffix(screenSuffix)
      && name.dropFirst(screenPrefix.count).dropLast(screenSuffix.count).allSatisfy(\.isNumber)
  }

  var summary: String {
    switch self {
    case .about: "kernel, processor and sizes of the host; the machine, without names of files"
    case .hypercalls: "each hypercall that reached vmm-run, with its time and what was answered"
    case .samples: "memory by class, exits, and processor time of vCPUs, over time"
    case .registers: "what the guest turned on: Hyper-V's MSRs, when they changed"
    case .unclaimed: "ports and pages that the guest used and no device has"
    case .outcome: "how the run ended"
    }
  }
}
