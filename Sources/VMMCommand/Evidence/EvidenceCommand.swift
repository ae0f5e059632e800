internal import Glibc
internal import HostSystem
internal import MachineSpecification

/// `vmm-run evidence`: what was recorded, and the file to send.
enum EvidenceCommand {
  static func run(_ options: EvidenceOptions) -> ExitStatus {
    do {
      let directory = EvidenceDirectory(path: options.path)
      guard directory.isThere else {
        throw SystemError(
          "read \(options.path)", code: ENOENT,
          cure: "name the directory that --evidence was given")
      }
      let runs = try directory.runs.map { try EvidenceRun($0.name, in: $0.path) }
      guard !runs.isEmpty else {
        throw SystemError(
          "find a run in \(options.path)", code: ENOENT,
          cure: "record one: 'vmm-run windows --disk FILE --evidence \(options.path)'")
      }
      try OutputFile.writeStandardOutput(
        EvidenceReport(runs, hasScreens: !options.leavesScreensOut).text)
      if let picture = options.picturePath { try draw(runs, into: picture) }
      if let output = options.outputPath { try pack(runs, options, into: output) }
      return .success
    } catch {
      Diagnostics.report("\(error)")
      return .failure
    }
  }

  private static func draw(_ runs: [EvidenceRun], into path: String) throws {
    let lines = runs.map(\.memoryLine).filter { !$0.points.isEmpty }
    guard !lines.isEmpty else {
      throw SystemError(
        "draw \(path)", code: ENODATA, cure: "record a run of a second or more")
    }
    let file = try OutputFile.open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, named: path)
    try OutputFile.write(MemoryLogSVG(lines).text, to: file.rawValue, named: path)
    try OutputFile.writeStandardOutput("\nmemory over time drawn into \(path)\n")
  }

  /// Only what was listed goes in, and of its files nothing but names and contents.
  private static func pack(
    _ runs: [EvidenceRun], _ options: EvidenceOptions, into path: String
  ) throws {
    guard let tar = ChildProcess.find("tar") else {
      throw SystemError("pack \(path)", code: ENOENT, cure: "apt-get install tar")
    }
    // What is there may be somebody's.
    let file = try OutputFile.open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, named: path)
    let names = runs.flatMap { run in
      run.files(hasScreens: !options.leavesScreensOut).map { "\(run.name)/\($0.name)" }
    }
    let process: ChildProcess
    do throws(Errno) {
      process = try ChildProcess(
        tar,
        [
          "--create", "--gzip", "--file=/dev/fd/3", "--directory=\(options.path)", "--format=ustar",
          "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "--mode=0644", "--",
        ] + names, inheriting: [file.rawValue], output: .standardError)
    } catch {
      OutputFile.remove(path)
      throw SystemError("start \(tar)", code: error.rawValue)
    }
    while process.wait(seconds: 3600) == nil {}
    guard process.result == .exited(status: 0) else {
      OutputFile.remove(path)
      throw SystemError("pack \(path)", code: EIO, cure: "see what tar says above")
    }
    try OutputFile.writeStandardOutput("\npacked into \(path)\n")
  }
}

/// What `vmm-run evidence` was asked to do.
struct EvidenceOptions: Equatable, Sendable {
  var path: String
  /// Where it is packed; nil to list it alone.
  var outputPath: String?
  /// Where memory over time is drawn; nil for nowhere.
  var picturePath: String?
  var leavesScreensOut = false

  init(_ parsed: ParsedOptions) throws(UsageError) {
    guard let path = parsed.operands.first else {
      throw .missingOperand("DIR", command: .evidence)
    }
    if let stranger = parsed.operands.dropFirst().first {
      throw .unexpectedArgument(stranger, command: .evidence, suggestions: [])
    }
    self.path = path
    outputPath = parsed.text(.pack)
    picturePath = parsed.text(.memoryLog)
    leavesScreensOut = parsed.contains(.withoutScreens)
  }
}
