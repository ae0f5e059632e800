internal import GuestMemory
internal import HyperVCore
internal import KVM

/// CRASH_CTL of a guest whose other synthetic MSRs are KVM's.
///
/// KVM's own takes no message: it reads as *CrashNotify* alone. So accesses to it exit, by the MSR
/// filter; CRASH_P0 to CRASH_P4 stay in KVM. Source: KVM API, KVM_X86_SET_MSR_FILTER.
enum CrashRegister {
  static let index = SyntheticMSR.crashControl.rawValue

  /// What reading it gives: what a write may ask for.
  static let readValue = CrashReport.notifyBit | CrashReport.messageBit

  /// Before the first vCPU runs.
  static func prepare(_ machine: VirtualMachine) throws(KVMError) {
    try machine.sendMSRExits(for: .filtered)
    try machine.denyMSRs(index...index)
  }

  /// What a write reports; nil if it reports nothing.
  static func report(
    _ control: UInt64, of vcpu: borrowing VCPU, in memory: GuestMemory
  ) throws(KVMError) -> GuestCrash? {
    var parameters: [UInt64] = []
    for index in SyntheticMSR.crashP0.rawValue...SyntheticMSR.crashP4.rawValue {
      parameters.append(try vcpu.readMSR(index))
    }
    let report = CrashReport(parameters: parameters, control: control)
    guard report.notifies else { return nil }
    let identity = GuestIdentity(
      rawValue: try vcpu.readMSR(SyntheticMSR.guestOSID.rawValue))
    return GuestCrash(report, identity: identity, vcpuID: vcpu.id, in: memory)
  }
}

extension GuestCrash {
  /// Takes the message from memory now: the guest may need the memory for something else.
  init(
    _ report: CrashReport, identity: GuestIdentity, vcpuID: UInt32, in memory: GuestMemory
  ) {
    let message = report.message.flatMap { message in
      try? memory.read(at: GPA(message.address.rawValue), byteCount: message.byteCount)
    }
    self.init(report: report, identity: identity, message: message, vcpuID: vcpuID)
  }
}
