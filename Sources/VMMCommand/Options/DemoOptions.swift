internal import MachineSpecification

/// What `vmm-run demo` was asked to do.
struct DemoOptions: Equatable, Sendable {
  static let defaultMemory = ByteCount.gibi(1)

  var partition: PartitionSpec
  /// Whether the guest can ask which memory is zero; false by `--no-zeroed-memory`.
  var offersZeroedMemory = true
  /// Runs twice, with and without, whatever `offersZeroedMemory` says.
  var compares = false
  var mapPath: String?
  var printsJSON = false
  var traceHypercalls: LogFileSpec?
  var sandbox = SandboxChoice.on

  init(_ partition: PartitionSpec = PartitionSpec(memory: defaultMemory)) {
    self.partition = partition
  }

  init(_ parsed: ParsedOptions) throws(UsageError) {
    self.init()
    try partition.take(parsed, vcpuCounts: GuestSpec.programVCPUCounts)
    try parsed.checked(.memory(default: nil)) { [partition] () throws(SpecValueError) in
      try partition.memory.checkSizes(of: nil)
    }
    offersZeroedMemory = !parsed.contains(.noZeroedMemory)
    compares = parsed.contains(.compare)
    mapPath = parsed.text(.map)
    printsJSON = parsed.contains(.json)
    if let text = parsed.text(.traceHypercalls) {
      traceHypercalls = try LogFileSpec(parsing: text, option: .traceHypercalls)
    }
    sandbox = try parsed.choice(.sandbox) ?? sandbox
  }
}
