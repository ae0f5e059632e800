internal import CKVM
internal import HostSystem

/// One KVM virtual machine.
///
/// Safe to use from any thread: the kernel serialises these requests itself. The VM ends when the
/// last reference to it, its vCPUs included, is gone. Source: KVM API, "VM ioctls".
public final class VirtualMachine: Sendable {
  let descriptor: FileDescriptor
  let runPageByteCount: Int
  let synchronizedRegisterSets: UInt64

  init(
    descriptor: consuming FileDescriptor, runPageByteCount: Int, synchronizedRegisterSets: UInt64
  ) {
    self.descriptor = descriptor
    self.runPageByteCount = runPageByteCount
    self.synchronizedRegisterSets = synchronizedRegisterSets
  }

  /// The value of a capability for this VM; 0 when the kernel does not have it.
  public func value(of capability: KVMCapability) -> Int32 {
    let answer = try? descriptor.call(
      CKVM_CHECK_EXTENSION, value: UInt(bitPattern: Int(capability.rawValue)),
      "KVM_CHECK_EXTENSION \(capability)")
    return answer ?? 0
  }

  /// Turns a capability of the VM on (KVM_ENABLE_CAP).
  func enable(_ capability: KVMCapability, argument: UInt64) throws(KVMError) {
    var request = kvm_enable_cap()
    request.cap = UInt32(bitPattern: capability.rawValue)
    request.args.0 = argument
    try descriptor.call(
      CKVM_ENABLE_CAP, &request,
      "KVM_ENABLE_CAP \(capability) argument 0x\(String(argument, radix: 16))",
      cure: capability.cure)
  }

  /// Where Intel's KVM keeps the four pages it needs below 4 GiB for real-mode guests: one page of
  /// identity map and three of task state. No RAM may lie there.
  public func setReservedPages(
    identityMapAddress: UInt64, taskStateAddress: UInt64
  ) throws(KVMError) {
    var address = identityMapAddress
    try descriptor.call(
      CKVM_SET_IDENTITY_MAP_ADDR, &address,
      "KVM_SET_IDENTITY_MAP_ADDR 0x\(String(identityMapAddress, radix: 16))")
    try descriptor.call(
      CKVM_SET_TSS_ADDR, value: UInt(taskStateAddress),
      "KVM_SET_TSS_ADDR 0x\(String(taskStateAddress, radix: 16))")
  }

  /// The TSC frequency in kHz that new vCPUs have, or nil where KVM does not know it: before Linux
  /// 5.16 only a vCPU can be asked (KVM_CAP_VM_TSC_CONTROL).
  public func tscKilohertz() -> UInt64? {
    let answer = try? descriptor.call(CKVM_GET_TSC_KHZ, "KVM_GET_TSC_KHZ")
    return answer.flatMap { $0 > 0 ? UInt64($0) : nil }
  }

  /// Makes a vCPU. Its owner must be the one thread that runs it.
  ///
  /// - Parameter id: also its initial APIC ID; unique in the VM.
  public func makeVCPU(id: UInt32) throws(KVMError) -> VCPU {
    let rawValue = try descriptor.call(
      CKVM_CREATE_VCPU, value: UInt(id), "KVM_CREATE_VCPU \(id)",
      cure: "this KVM takes at most \(value(of: .maximumVCPUs)) vCPUs, each number once")
    return try VCPU(id: id, descriptor: FileDescriptor(taking: rawValue), machine: self)
  }
}
