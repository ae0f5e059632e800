internal import CKVM

/// What a vCPU is doing, open: the kernel knows more states than these. Source: KVM API,
/// KVM_GET_MP_STATE.
public struct VCPUActivity: RawRepresentable, Hashable, Sendable {
  /// KVM_MP_STATE_*.
  public let rawValue: UInt32

  /// Any value: unknown ones are kept.
  public init(rawValue: UInt32) {
    self.rawValue = rawValue
  }

  /// KVM_MP_STATE_RUNNABLE: it executes.
  public static let runnable = VCPUActivity(rawValue: UInt32(KVM_MP_STATE_RUNNABLE))
  /// KVM_MP_STATE_UNINITIALIZED: it waits for INIT and SIPI, as all but the first do at the start
  /// when local APICs are in the kernel.
  public static let uninitialized = VCPUActivity(rawValue: UInt32(KVM_MP_STATE_UNINITIALIZED))
  /// KVM_MP_STATE_HALTED: it waits for an interrupt.
  public static let halted = VCPUActivity(rawValue: UInt32(KVM_MP_STATE_HALTED))
}

extension VCPU {
  /// Queues a system management interrupt: taken before the next instruction. Source: KVM API,
  /// KVM_SMI.
  public func interruptForSystemManagement() throws(KVMError) {
    try descriptor.call(
      CKVM_SMI, value: 0, "KVM_SMI on vCPU \(id)", cure: KVMCapability.systemManagementMode.cure)
  }

  /// Whether the last exit was in system management mode.
  public var isInSystemManagementMode: Bool { page.fields.flags & CKVM_RUN_IN_SMM != 0 }

  /// What this vCPU is doing.
  public func activity() throws(KVMError) -> VCPUActivity {
    var state = kvm_mp_state()
    try descriptor.call(CKVM_GET_MP_STATE, &state, "KVM_GET_MP_STATE on vCPU \(id)")
    return VCPUActivity(rawValue: state.mp_state)
  }

  /// Changes what this vCPU is doing; without local APICs in the kernel only `runnable` is
  /// possible.
  public func setActivity(_ activity: VCPUActivity) throws(KVMError) {
    var state = kvm_mp_state(mp_state: activity.rawValue)
    try descriptor.call(
      CKVM_SET_MP_STATE, &state, "KVM_SET_MP_STATE \(activity.rawValue) on vCPU \(id)",
      cure: "states but runnable need interrupt controllers in the kernel")
  }
}
