internal import HyperVCore

/// What `vmm-run run` was asked to do.
struct RunOptions: Equatable, Sendable {
  /// What is started.
  enum Guest: Equatable, Sendable {
    /// A flat 64-bit image, by the path of its file.
    case program(String)
    case system(SystemOptions)
  }

  /// Of a flat program; a PC's is in `SystemOptions`.
  static let defaultMemory = ByteCount.mebi(64)

  var guest: Guest
  var machine: MachineOptions

  init(guest: Guest, machine: MachineOptions? = nil) {
    self.guest = guest
    self.machine = machine ?? MachineOptions(memory: Self.defaultMemory(of: guest))
  }

  init(_ parsed: ParsedOptions) throws(UsageError) {
    if let system = try SystemOptions(parsed) {
      guest = .system(system)
    } else {
      // The parser has refused a command line without any.
      guest = .program(parsed.text(.program) ?? "")
    }
    machine = try MachineOptions(
      parsed, defaultMemory: Self.defaultMemory(of: guest),
      cpuCounts: Self.cpuCounts(of: guest))
    guard case .system(let system) = guest, !machine.offersNesting else { return }
    let nested = system.hyperVFeatures.selection.added.intersection(.nested)
    guard nested.isEmpty else {
      throw .missingCompanion(
        option: "\(OptionDefinition.hyperVFeatures.name) \(nested)",
        needs: OptionDefinition.nested.name)
    }
  }

  private static func cpuCounts(of guest: Guest) -> ClosedRange<Int> {
    switch guest {
    case .program: MachineOptions.cpuCounts
    case .system: MachineOptions.systemCPUCounts
    }
  }

  private static func defaultMemory(of guest: Guest) -> ByteCount {
    switch guest {
    case .program: defaultMemory
    case .system: SystemOptions.defaultMemory
    }
  }
}
