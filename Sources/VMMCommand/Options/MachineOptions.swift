/// What holds guest memory, as `--backing` names it.
enum BackingName: String, CaseIterable, Codable, Sendable {
  case anonymous
  case memfd
  case hugetlb
}

/// Where the Hyper-V interface is implemented, as `--hyperv` names it.
enum HyperVChoice: String, CaseIterable, Codable, Sendable {
  /// The kernel where it can, otherwise this program.
  case auto
  case kernel
  case userspace
}

/// The options that describe a virtual machine, the same for every command that starts one.
struct MachineOptions: Equatable, Sendable {
  static let cpuCounts = 1...4
  /// With an operating system, whose machine has local APICs.
  static let systemCPUCounts = 1...64
  static let leastGranularity = ByteCount.kibi(4)
  static let mostGranularity = ByteCount.mebi(32)

  var memory: ByteCount
  var cpuCount = 1
  var backing = BackingName.anonymous
  var preallocates = false
  var usesTransparentHugePages = false
  var tracking = TrackingOptions()
  /// Nil leaves the choice to the tracker, which knows its sources.
  var granularity: ByteCount?
  var hyperV = HyperVChoice.auto
  /// Whether the guest may run virtual machines of its own.
  var offersNesting = false
  var traceHypercalls: LogFileOption?
  var sandbox = SandboxChoice.on

  init(memory: ByteCount) {
    self.memory = memory
  }

  init(
    _ parsed: ParsedOptions, defaultMemory: ByteCount, cpuCounts: ClosedRange<Int> = cpuCounts
  ) throws(UsageError) {
    let memoryOption = OptionDefinition.memory(default: defaultMemory)
    memory = try parsed.byteCount(memoryOption) ?? defaultMemory
    guard memory.bytes.isMultiple(of: 4096) else {
      throw .notWholePages(option: memoryOption.name, memory)
    }
    cpuCount = try parsed.integer(.cpus, in: cpuCounts) ?? cpuCount
    backing = try parsed.choice(.backing) ?? backing
    preallocates = parsed.contains(.preallocate)
    usesTransparentHugePages = parsed.contains(.transparentHugePages)
    tracking = try TrackingOptions(parsed)
    granularity = try parsed.byteCount(.granularity)
    if let granularity {
      let range = Self.leastGranularity...Self.mostGranularity
      guard range.contains(granularity), granularity.bytes.nonzeroBitCount == 1 else {
        throw .invalidGranularity(
          option: OptionDefinition.granularity.name, granularity,
          least: Self.leastGranularity, most: Self.mostGranularity)
      }
    }
    hyperV = try parsed.choice(.hyperV) ?? hyperV
    offersNesting = parsed.contains(.nested)
    if let text = parsed.text(.traceHypercalls) {
      traceHypercalls = try LogFileOption(parsing: text, option: .traceHypercalls)
    }
    sandbox = try parsed.choice(.sandbox) ?? sandbox
  }
}

/// Whether the process gives up what its machine does not need, as `--sandbox` names it.
enum SandboxChoice: String, CaseIterable, Sendable {
  case on
  /// To debug: nothing is given up.
  case off
}
