internal import GuestMemory
internal import KVM

/// Brings a guest's first instructions into memory, and a vCPU to them.
protocol MachineBoot: Sendable {
  /// Writes everything through `GuestMemory`, which marks it.
  func load(into guest: GuestMemory) throws(MachineError)
  /// Sets the registers of a vCPU that begins to run; called for each of them, on the thread that
  /// builds the machine.
  func enter(vcpu: borrowing VCPU) throws(MachineError)
}

extension BootPlan: MachineBoot {
  func enter(vcpu: borrowing VCPU) throws(MachineError) {
    try kvm { () throws(KVMError) in try LongMode.enter(self, vcpu: vcpu) }
  }
}

extension LinuxBootPlan: MachineBoot {}

/// Firmware starts at the reset vector, in the state that a new vCPU is in: nothing is to be loaded
/// or set. The other vCPUs wait for its start-up interrupts.
struct FirmwareBoot: MachineBoot {
  func load(into guest: GuestMemory) {}
  func enter(vcpu: borrowing VCPU) {}
}
