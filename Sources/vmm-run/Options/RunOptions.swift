/// What `vmm-run run` was asked to do.
struct RunOptions: Equatable, Sendable {
  /// What is started.
  enum Guest: Equatable, Sendable {
    /// A flat 64-bit image, by the path of its file.
    case program(String)
    case linux(LinuxOptions)
  }

  /// Of a flat program; a kernel's is in `LinuxOptions`.
  static let defaultMemory = ByteCount.mebi(64)

  var guest: Guest
  var machine: MachineOptions

  init(guest: Guest, machine: MachineOptions? = nil) {
    self.guest = guest
    self.machine = machine ?? MachineOptions(memory: Self.defaultMemory(of: guest))
  }

  init(_ parsed: ParsedOptions) throws(UsageError) {
    if let kernelPath = parsed.text(.kernel) {
      guest = .linux(try LinuxOptions(kernelPath: kernelPath, parsed))
    } else {
      // The parser has refused a command line with neither.
      guest = .program(parsed.text(.program) ?? "")
    }
    machine = try MachineOptions(
      parsed, defaultMemory: Self.defaultMemory(of: guest),
      cpuCounts: Self.cpuCounts(of: guest))
  }

  private static func cpuCounts(of guest: Guest) -> ClosedRange<Int> {
    switch guest {
    case .program: MachineOptions.cpuCounts
    case .linux: MachineOptions.systemCPUCounts
    }
  }

  private static func defaultMemory(of guest: Guest) -> ByteCount {
    switch guest {
    case .program: defaultMemory
    case .linux: LinuxOptions.defaultMemory
    }
  }
}
