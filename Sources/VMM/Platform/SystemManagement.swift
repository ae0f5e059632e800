internal import DeviceKit
internal import Devices
internal import GuestMemory
internal import HostSystem
internal import KVM
internal import Synchronization

/// System management mode: memory that only it reaches, TSEG, and its interrupts.
///
/// vCPUs in that mode see KVM's second address space: RAM, flash and TSEG. The others see TSEG
/// until firmware closes it. It is no RAM of the guest's: DMA does not reach it and no answer names
/// it. Any thread. Source: KVM API, KVM_SMI and KVM_CAP_MULTI_ADDRESS_SPACE; Q35 datasheet,
/// *ESMRAMC*.
final class SystemManagement: Sendable {
  /// TSEG, in bytes: what QEMU gives firmware by default.
  static let byteCount: UInt64 = 16 << 20
  /// With less there is no room for firmware beside it.
  static let leastMemory: UInt64 = 64 << 20

  private let memory: DeviceMemory
  private let slot: MemorySlot
  private let machine: VirtualMachine
  private let isOpen: Guarded<Bool>
  /// How many interrupts there were, and so each vCPU whether it has had the last.
  private let count = Atomic<UInt64>(0)
  private let kickers = Guarded<[VCPUKicker]>([])

  /// Maps TSEG, open to all.
  init(
    _ layout: GuestMemoryLayout, machine: VirtualMachine, numbers: MemorySlotNumbers
  ) throws(MachineError) {
    let range = layout.setAside
    memory = try VMM.memory { () throws(GuestMemoryError) in
      try DeviceMemory(byteCount: Int(layout.setAsideByteCount))
    }
    slot = MemorySlot(
      number: numbers.take(), guestPhysicalAddress: range.lowerBound.rawValue,
      byteCount: layout.setAsideByteCount, hostAddress: memory.hostAddress)
    self.machine = machine
    isOpen = Guarded(true)
    try kvm { [slot] () throws(KVMError) in
      try machine.setMemorySlot(slot, options: [])
      try machine.setMemorySlot(slot.inSystemManagementMode, options: [])
    }
  }

  /// - Throws: `MachineError.unavailable` where this host's KVM has no such mode.
  static func check(_ system: KVMSystem, memoryByteCount: UInt64) throws(MachineError) {
    guard system.value(of: .systemManagementMode) > 0, system.value(of: .addressSpaces) > 1 else {
      throw .unavailable(
        what: "this KVM has no system management mode, which Secure Boot needs",
        cure: "use a kernel with CONFIG_KVM_SMM, or start without Secure Boot")
    }
    guard memoryByteCount >= leastMemory else {
      throw .configuration(
        "\(memoryByteCount) bytes of memory: Secure Boot needs at least \(leastMemory)")
    }
  }

  /// What the host bridge's registers rule.
  var managementMemory: HostBridge.ManagementMemory {
    HostBridge.ManagementMemory(mebibyteCount: UInt16(Self.byteCount >> 20)) { [self] in
      setOpen($0)
    }
  }

  private func setOpen(_ isOpen: Bool) {
    self.isOpen.withLock { [machine, slot] wasOpen in
      guard isOpen != wasOpen else { return }
      do {
        if isOpen {
          try machine.setMemorySlot(slot, options: [])
        } else {
          try machine.removeMemorySlot(slot)
        }
        wasOpen = isOpen
      } catch {
        // Opening fails for want of kernel memory alone, and closing for no slot that is there:
        // what firmware then finds is memory that reads as all ones.
      }
    }
  }

  // MARK: Interrupts

  /// The vCPUs, before they run.
  func attach(_ kickers: [VCPUKicker]) {
    self.kickers.withLock { $0 = kickers }
  }

  /// Interrupts all vCPUs: each before its next instruction.
  func interrupt() {
    count.add(1, ordering: .sequentiallyConsistent)
    for kicker in kickers.withLock({ $0 }) { kicker.kick() }
  }

  /// How many interrupts there were.
  var interruptCount: UInt64 { count.load(ordering: .sequentiallyConsistent) }
}

extension SystemManagement: StatefulDevice {
  /// The memory. Whether it is open follows from the host bridge.
  func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try memory.transferContents(&transfer)
  }
}
