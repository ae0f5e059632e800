internal import DeviceKit
internal import Devices
internal import GuestMemory
internal import HyperVCore
internal import KVM

/// What a machine is built from that goes on where a saved one was: in place of what would be
/// loaded, and of how it would be started.
public struct MachineRestoration: Sendable {
  public var saved: SavedMachine
  /// The file with the pages, open for reading until the machine is made.
  public var memoryDescriptor: Int32

  public init(_ saved: SavedMachine, memoryDescriptor: Int32) {
    self.saved = saved
    self.memoryDescriptor = memoryDescriptor
  }

  /// Fills memory, in place of the loaders.
  func load(into guest: GuestMemory, control: MachineControl) throws(MachineError) {
    do throws(GuestMemoryError) {
      try guest.restore(saved.memory, from: memoryDescriptor) { !control.isEnding }
    } catch {
      throw error == .interrupted ? .stopped : .memory(error)
    }
  }

  /// Makes a vCPU what it was; false if it had not begun.
  func enter(_ runner: borrowing VCPU) throws(MachineError) -> VCPUState? {
    let name = StateName.vcpu(runner.id)
    guard saved.state.hasPart(name) else { return nil }
    let state: VCPUState = try restored(VCPUState(), from: name)
    try kvm { () throws(KVMError) in try runner.setState(state) }
    return state
  }

  /// What is the same in the machine that is there and in the one that was saved.
  func check(_ kind: MachineKind) throws(MachineError) {
    _ = try restored(kind, from: StateName.kind)
  }

  /// The rest: when vCPUs are what they were, and before any of them runs.
  func finish(
    _ machine: VirtualMachine, _ userspace: UserspaceHyperV?, _ computer: PersonalComputer?
  ) throws(MachineError) {
    if let userspace {
      userspace.restore(try restored(SyntheticMSRs.Contents(), from: StateName.hyperV))
    }
    let kernel = try restored(VirtualMachineState(), from: StateName.kernel)
    try kvm { () throws(KVMError) in try machine.setState(kernel) }
    // Devices drive their wires again, into controllers that are as they were.
    do throws(SavedStateError) {
      try computer?.restoreDevices(from: saved.state)
    } catch {
      throw Self.error(error)
    }
  }

  private func restored<T: StateTransferable>(
    _ value: T, from name: String
  ) throws(MachineError) -> T {
    let box = StateBox(value)
    do throws(SavedStateError) {
      try saved.state.restore(box, from: name)
    } catch {
      throw Self.error(error)
    }
    return box.value
  }

  private static func error(_ error: SavedStateError) -> MachineError {
    .configuration(
      "the saved machine cannot be restored: \(error); start it with what it was saved with")
  }
}
