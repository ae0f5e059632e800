internal import GuestMemory
internal import KVM

/// Firmware starts at the reset vector, in the state that a new vCPU is in: nothing is to be loaded
/// or set. The other vCPUs wait for its start-up interrupts.
struct FirmwareBoot: MachineBoot {
  func load(into guest: GuestMemory) {}
  func enter(vcpu: borrowing VCPU) {}
}
