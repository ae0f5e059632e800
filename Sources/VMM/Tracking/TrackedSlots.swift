internal import GuestMemory
internal import KVM
internal import MachineSpecification
internal import ZeroTracker

/// Guest RAM as KVM's memory slots, with whatever tells which of its pages the guest writes.
struct TrackedSlots: Sendable {
  private let source: (any WrittenPageSource)?
  /// What the guest writes, for whoever asks.
  let log: DirtyLog
  /// What must happen after the loaders' writes and before the guest's first instruction.
  private let arm: @Sendable () throws(MachineError) -> Void
  private let numbers: MemorySlotNumbers

  /// Gives all RAM to KVM.
  ///
  /// - Parameters:
  ///   - kind: nil if nothing is to be tracked.
  ///   - refinement: what `populated` may read of each answer.
  ///   - hasSystemManagement: whether vCPUs in that mode get it, too.
  init(
    registering guest: GuestMemory, with machine: VirtualMachine,
    numbers: MemorySlotNumbers, source kind: WrittenPageSourceKind?,
    refinement: GuestMemory.RefinementBudget, hasSystemManagement: Bool
  ) throws(MachineError) {
    let slots = guest.mappedRegions.map { Self.slot(numbers.take(), of: $0) }
    func register(_ options: MemorySlot.Options) throws(MachineError) {
      try kvm { () throws(KVMError) in
        for slot in slots {
          try machine.setMemorySlot(slot, options: options)
          guard hasSystemManagement else { continue }
          try machine.setMemorySlot(slot.inSystemManagementMode, options: options)
        }
      }
    }
    // Without it a reading clears the log, which is all that a migration alone needs.
    let isManual =
      kind == .dirtyLog
      ? try kvm { () throws(KVMError) in try machine.enableManualDirtyLogProtect() } : false
    log = DirtyLog(
      machine: machine, slots: slots, hasSystemManagement: hasSystemManagement,
      isManual: isManual, isTracked: kind == .dirtyLog)
    self.numbers = numbers
    switch kind {
    case .dirtyLog:
      // Logging from the slot's creation on: the log begins empty.
      try register(.logsDirtyPages)
      source = DirtyLogSource(log)
      arm = {}
    case .writeProtect:
      try register([])
      let writeProtect = try WriteProtectSource(guest.mappedRegions, growth: guest.mappedGrowth)
      source = writeProtect
      arm = { () throws(MachineError) in try writeProtect.arm() }
    case .populated:
      try register([])
      do {
        source = try guest.populationSource(refinement)
      } catch {
        throw .hostPages(error)
      }
      arm = {}
    case nil:
      try register([])
      source = nil
      arm = {}
    }
  }

  private static func slot(_ number: UInt32, of region: MappedRegion) -> MemorySlot {
    MemorySlot(
      number: number, guestPhysicalAddress: region.start.rawValue, byteCount: region.byteCount,
      hostAddress: region.hostAddress)
  }

  /// Gives the guest a piece of memory more, whose first write is seen like all others.
  func add(_ piece: MappedRegion) throws(MachineError) {
    // Before it can write there.
    if let source = source as? WriteProtectSource { try source.protect(piece) }
    let slot = Self.slot(numbers.take(), of: piece)
    do {
      try kvm { () throws(KVMError) in try log.add(slot) }
    } catch {
      numbers.giveBack(slot.number)
      throw error
    }
  }

  /// Begins tracking: after the loaders' writes, which are marked, and before the guest runs.
  func start(_ tracker: ZeroTracker) throws(MachineError) {
    try arm()
    if let source { tracker.attach(source: source) }
  }
}
