internal import DeviceKit
internal import GuestMemory
internal import HyperVCore
internal import KVM
internal import MachineSpecification

extension Machine {
  /// What the machine is, with its memory in a file. For a machine that is paused
  /// (`MachineControl.pause`); it stays paused, and may go on after that. Any thread but a vCPU's.
  ///
  /// The content of disks is not saved, but is consistent with the rest until the machine goes on:
  /// devices have finished what they had begun, and disks are flushed.
  ///
  /// - Parameter descriptor: of an empty regular file, open for writing: each page lies at the
  ///   offset that is its GPA, and what is zero is a hole.
  /// - Parameter atRest: called while disks and all else are at rest.
  /// - Throws: `SavedMachineError`; a machine that can still go on then does so unchanged.
  public func save(
    memoryTo descriptor: Int32, atRest: () -> Void = {}
  ) throws(SavedMachineError) -> SavedMachine {
    try save(atRest: atRest) { (saved) throws(SavedMachineError) in
      saved.memory = try machineError { () throws(MachineError) in
        try VMM.memory { () throws(GuestMemoryError) in
          try memory.save(to: descriptor) { !control.gate.isOver }
        }
      }
      return .stays
    }
  }

  /// What becomes of a machine that was saved.
  enum Whereabouts {
    /// It may go on here.
    case stays
    /// It is elsewhere: here its devices do nothing any more.
    case moved
  }

  /// The same without memory, which is the business of `last`.
  ///
  /// - Parameter last: called when all else is saved, with the machine and its devices at rest.
  func save(
    atRest: () -> Void, _ last: (inout SavedMachine) throws(SavedMachineError) -> Whereabouts
  ) throws(SavedMachineError) -> SavedMachine {
    guard !offersNesting else {
      throw .part(
        SavedStateError(part: "vCPU 0", reason: .unsupported("a machine with nested guests")))
    }
    growth.hold()
    defer { growth.release() }
    let parts = try machineError { () throws(MachineError) in
      try kvm { () throws(KVMError) in
        var parts = try VCPUStateParts(
          of: virtualMachine, on: KVMSystem(), hasLocalAPIC: hasInterruptControllers)
        // Ours, whatever KVM may have at those numbers.
        if transport == .userspace { parts.msrs.removeAll { SyntheticMSR.range.contains($0) } }
        return parts
      }
    }
    guard control.gate.hold() else { throw .notPaused }
    var whereabouts = Whereabouts.stays
    defer { control.gate.release(staysClosed: whereabouts == .moved) }
    defer { if whereabouts == .stays { computer?.resumeDevices() } }
    // In front of the devices: the rest of a string of accesses, or of one that was split, changes
    // them.
    let settled = try machineError { () throws(MachineError) in try control.gate.collect(nil) }
    guard settled != nil else { throw .interrupted }
    var saved = SavedMachine()
    do throws(SavedStateError) {
      try computer?.saveDevices(to: &saved.state)
    } catch {
      throw .part(error)
    }
    atRest()
    // Behind the devices: their messages are in the local APICs.
    let vcpus = try machineError { () throws(MachineError) in try control.gate.collect(parts) }
    guard let vcpus, computer == nil || vcpus.count == runners.count else { throw .interrupted }
    try save(vcpus, to: &saved.state)
    // The wires last of all: what comes later than a device's state is one interrupt too many, and
    // not one too few.
    try saveKernel(to: &saved.state)
    whereabouts = try last(&saved)
    guard whereabouts == .moved || !control.gate.isOver else { throw .interrupted }
    return saved
  }

  private func save(
    _ vcpus: [UInt32: VCPUState], to state: inout SavedState
  ) throws(SavedMachineError) {
    for (id, vcpu) in vcpus.sorted(by: { $0.key < $1.key }) {
      try add(vcpu, as: StateName.vcpu(id), to: &state)
    }
  }

  private func saveKernel(to state: inout SavedState) throws(SavedMachineError) {
    let kernel = try machineError { () throws(MachineError) in
      try kvm { () throws(KVMError) in
        try virtualMachine.state(
          hasInterruptControllers: hasInterruptControllers, hasIntervalTimer: computer != nil)
      }
    }
    try add(kernel, as: StateName.kernel, to: &state)
    if let contents = userspaceHyperV?.contents {
      try add(contents, as: StateName.hyperV, to: &state)
    }
    try addKind(to: &state)
  }

  /// What has to be the same where it goes on.
  func addKind(to state: inout SavedState) throws(SavedMachineError) {
    let kind = MachineKind(
      vcpuCount: runners.count, memoryByteCount: memory.layout.ramByteCount, transport: transport,
      enlightenments: enlightenments)
    try add(kind, as: StateName.kind, to: &state)
    if let added = AddedMemory(memory) { try add(added, as: StateName.addedMemory, to: &state) }
  }

  private func add(
    _ value: some StateTransferable, as name: String, to state: inout SavedState
  ) throws(SavedMachineError) {
    do throws(SavedStateError) {
      var value = value
      try state.save(as: name) { (transfer) throws(StateError) in try value.transfer(&transfer) }
    } catch {
      throw .part(error)
    }
  }
}

/// Runs `body`, giving the machine's errors as those of saving.
func machineError<R>(_ body: () throws(MachineError) -> R) throws(SavedMachineError) -> R {
  do throws(MachineError) { return try body() } catch { throw .machine(error) }
}

/// The names of the parts that are no devices.
enum StateName {
  static let kind = "machine"
  static let addedMemory = "added memory"
  static let kernel = "KVM"
  static let hyperV = "Hyper-V registers"

  static func vcpu(_ id: UInt32) -> String { "vCPU \(id)" }
}

/// What has to be the same where a machine is restored.
struct MachineKind: Sendable {
  var vcpuCount: UInt32
  var memoryByteCount: UInt64
  /// 0 for KVM's own Hyper-V, 1 for ours, 2 for none.
  var transport: UInt8
  var enlightenments: UInt64

  init(
    vcpuCount: Int, memoryByteCount: UInt64, transport: HyperVTransport,
    enlightenments: Enlightenments
  ) {
    self.vcpuCount = UInt32(vcpuCount)
    self.memoryByteCount = memoryByteCount
    self.transport =
      switch transport {
      case .kernel: 0
      case .userspace: 1
      case .none: 2
      }
    self.enlightenments = UInt64(enlightenments.rawValue)
  }
}

extension MachineKind: StateTransferable {
  /// Compares.
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.constant(vcpuCount, "the number of vCPUs is")
    try transfer.constant(memoryByteCount, "the size of memory is")
    try transfer.constant(
      transport, "Hyper-V's interface comes from elsewhere (0: KVM, 1: this program, 2: nowhere):")
    try transfer.constant(enlightenments, "the set of enlightenments is")
  }
}

/// What memory has grown by.
struct AddedMemory: Sendable {
  /// What can be added in all, the same where the machine is restored.
  let growthByteCount: UInt64
  private(set) var byteCount: UInt64

  /// Nil for memory that cannot grow.
  init?(_ memory: GuestMemory) {
    guard let growth = memory.layout.growth else { return nil }
    growthByteCount = growth.byteCount
    byteCount = memory.addedByteCount
  }
}

extension AddedMemory: StateTransferable {
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.constant(growthByteCount, "what memory can grow by is")
    try transfer.integer(&byteCount, in: 0...growthByteCount)
    try transfer.check(
      byteCount.isMultiple(of: GuestMemoryLayout.growthUnit),
      "\(byteCount) bytes of added memory: no multiple of 128 MiB")
  }
}

/// A value with one function for both ways.
protocol StateTransferable: Sendable {
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError)
}

extension VCPUState: StateTransferable {
  /// AMX and what may yet come.
  private static let maximumByteCount = 1 << 16
  private static let maximumMSRCount = 4096

  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.bytes(&registers, maximumCount: Self.maximumByteCount)
    try transfer.bytes(&systemRegisters, maximumCount: Self.maximumByteCount)
    try transfer.bytes(&extendedState, maximumCount: Self.maximumByteCount)
    try transfer.bytes(&extendedControl, maximumCount: Self.maximumByteCount)
    try transfer.bytes(&debugRegisters, maximumCount: Self.maximumByteCount)
    try transfer.bytes(&localAPIC, maximumCount: Self.maximumByteCount)
    try transfer.bytes(&events, maximumCount: Self.maximumByteCount)
    try transfer.value(&activity)
    try transfer.elements(
      &msrs, maximumCount: Self.maximumMSRCount, new: ModelSpecificRegister(index: 0, value: 0)
    ) { (transfer, msr) throws(StateError) in
      try transfer.integer(&msr.index)
      try transfer.integer(&msr.value)
    }
    try transfer.integer(&tscKilohertz)
  }
}

extension VirtualMachineState: StateTransferable {
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.elements(&interruptControllers, maximumCount: 3, new: []) {
      (transfer, bytes) throws(StateError) in
      try transfer.bytes(&bytes, maximumCount: 4096)
    }
    try transfer.bytes(&intervalTimer, maximumCount: 4096)
    try transfer.integer(&clockNanoseconds)
  }
}

extension SyntheticMSRs.Contents: StateTransferable {
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.integer(&guestOSID)
    try transfer.integer(&hypercall)
    try transfer.integer(&referenceTSC)
    try transfer.elements(
      &vpAssistPages, maximumCount: 4096, new: VPAssistPage(vpIndex: 0, register: 0)
    ) { (transfer, page) throws(StateError) in
      try transfer.integer(&page.vpIndex)
      try transfer.integer(&page.register)
    }
    try transfer.integers(&crashParameters)
  }
}
