internal import MachineSpecification
internal import VMM

extension Machine {
  /// Builds the machine, and shows how far that is while it allocates its memory.
  convenience init(
    showing machine: ConfinedMachine, control: MachineControl,
    onHypercall: @escaping @Sendable (HypercallEvent) -> Void
  ) throws(MachineError) {
    let progress = ProgressLine("allocating memory")
    defer { progress.finish() }
    var configuration = machine.configuration
    configuration.onPreallocation = { done, total in
      progress.update(ByteCount(done), of: ByteCount(total))
    }
    try self.init(configuration, control: control, onHypercall: onHypercall)
  }
}
