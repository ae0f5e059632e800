/// What `vmm-run demo` was asked to do.
struct DemoOptions: Equatable, Sendable {
  static let defaultMemory = ByteCount.gibi(1)

  var machine: MachineOptions
  /// Whether the guest can ask which memory is zero; false by `--no-zeroed-memory`.
  var offersZeroedMemory = true
  /// Runs twice, with and without, whatever `offersZeroedMemory` says.
  var compares = false
  var mapPath: String?
  var printsJSON = false

  init(machine: MachineOptions = MachineOptions(memory: defaultMemory)) {
    self.machine = machine
  }

  init(_ parsed: ParsedOptions) throws(UsageError) {
    machine = try MachineOptions(parsed, defaultMemory: Self.defaultMemory)
    offersZeroedMemory = !parsed.contains(.noZeroedMemory)
    compares = parsed.contains(.compare)
    mapPath = parsed.text(.map)
    printsJSON = parsed.contains(.json)
  }
}
