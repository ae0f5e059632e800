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
