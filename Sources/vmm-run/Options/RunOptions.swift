/// What `vmm-run run` was asked to do.
struct RunOptions: Equatable, Sendable {
  static let defaultMemory = ByteCount.mebi(64)

  var machine: MachineOptions
  var programPath: String

  init(programPath: String, machine: MachineOptions = MachineOptions(memory: defaultMemory)) {
    self.machine = machine
    self.programPath = programPath
  }

  init(_ parsed: ParsedOptions) throws(UsageError) {
    machine = try MachineOptions(parsed, defaultMemory: Self.defaultMemory)
    // The parser has refused a command line without a required option.
    programPath = parsed.text(.program) ?? ""
  }
}
