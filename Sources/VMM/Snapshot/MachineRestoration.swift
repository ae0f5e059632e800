internal import DeviceKit
internal import Devices
internal import GuestMemory
internal import HyperVCore
internal import KVM

/// What a machine is built from that goes on where a saved one was: in place of what would be
/// loaded, and of how it would be started.
public struct MachineRestoration: Sendable {
  private enum Origin: Sendable {
    case file(SavedMachine, memoryDescriptor: Int32)
    case peer(MigrationReceiver)
  }

  private let origin: Origin

  /// One whose memory is in a file.
  ///
  /// - Parameter memoryDescriptor: the file with the pages, open for reading until the machine is
  ///   made.
  public init(_ saved: SavedMachine, memoryDescriptor: Int32) {
    origin = .file(saved, memoryDescriptor: memoryDescriptor)
  }

  /// One that moves here from another process; see `MigrationReceiver`.
  public init(receivedBy receiver: MigrationReceiver) {
    origin = .peer(receiver)
  }

  /// Of a machine that moves, what has come of it so far.
  private var state: SavedState {
    switch origin {
    case .file(let saved, _): saved.state
    case .peer(let receiver): receiver.state
    }
  }

  /// Fills memory, in place of the loaders.
  func load(into guest: GuestMemory, control: MachineControl) throws(MachineError) {
    switch origin {
    case .file(let saved, let descriptor):
      do throws(GuestMemoryError) {
        try guest.restore(saved.memory, from: descriptor) { !control.isEnding }
      } catch {
        throw error == .interrupted ? .stopped : .memory(error)
      }
    case .peer(let receiver): try receiver.load(into: guest, control: control)
    }
  }

  /// What is the same in the machine that is made and in the one that was saved. First of all:
  /// what follows would fail with less to say.
  func check(_ kind: MachineKind) throws(MachineError) {
    _ = try restored(kind, from: StateName.kind)
  }

  /// Adds what memory had grown by: in front of `load`.
  func addMemory(to guest: GuestMemory, _ growth: MemoryGrowth) throws(MachineError) {
    guard let before = AddedMemory(guest) else {
      guard !state.hasPart(StateName.addedMemory) else {
        throw Self.error(
          SavedStateError(
            part: StateName.addedMemory,
            reason: .invalid("memory cannot grow here, and could there")))
      }
      return
    }
    let byteCount = try restored(before, from: StateName.addedMemory).byteCount
    guard byteCount > 0 else { return }
    guard try growth.add(byteCount) != nil else {
      throw .configuration("no room for the \(byteCount) bytes that a saved machine was given")
    }
  }

  /// Whether a program had started its other vCPUs: then it does not ask for them again.
  var hasSecondaries: Bool { state.hasPart(StateName.vcpu(1)) }

  /// Makes a vCPU what it was; nil if it had not begun.
  func enter(_ vcpu: borrowing VCPU) throws(MachineError) -> VCPUState? {
    let name = StateName.vcpu(vcpu.id)
    guard state.hasPart(name) else { return nil }
    let state = try restored(VCPUState(), from: name)
    try kvm { () throws(KVMError) in try vcpu.setState(state) }
    return state
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
      try computer?.restoreDevices(from: state)
    } catch {
      throw Self.error(error)
    }
    // One that has moved here is the same, and there only once.
    if case .file = origin { computer?.beginGeneration() }
  }

  private func restored<T: StateTransferable>(
    _ value: T, from name: String
  ) throws(MachineError) -> T {
    var value = value
    do throws(SavedStateError) {
      try state.restore(from: name) { (transfer) throws(StateError) in
        try value.transfer(&transfer)
      }
    } catch {
      throw Self.error(error)
    }
    return value
  }

  private static func error(_ error: SavedStateError) -> MachineError {
    .configuration(
      "the saved machine cannot be restored: \(error); start it with what it was saved with")
  }
}
