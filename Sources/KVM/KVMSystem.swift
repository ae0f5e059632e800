internal import CKVM
internal import Glibc
internal import HostSystem

/// `/dev/kvm`: what the kernel offers, and where virtual machines come from.
///
/// Safe to use from any thread. Source: KVM API, "System ioctls".
public final class KVMSystem: Sendable {
  let descriptor: FileDescriptor
  /// Bytes of the run page that each vCPU shares with the kernel.
  private let runPageByteCount: Int

  /// Opens the device.
  ///
  /// - Throws: `KVMError` with the cure when the device is missing, forbidden, or no KVM.
  public convenience init(path: String = "/dev/kvm") throws(KVMError) {
    let rawValue = unsafe open(path, O_RDWR | O_CLOEXEC)
    guard rawValue >= 0 else { throw .openingDevice(path) }
    let descriptor = FileDescriptor(taking: rawValue)
    let version = try descriptor.call(
      CKVM_GET_API_VERSION, "KVM_GET_API_VERSION on \(path)", cure: "\(path) is not a KVM device")
    guard version == 12 else { throw .unexpectedAPIVersion(version) }
    let byteCount = try descriptor.call(CKVM_GET_VCPU_MMAP_SIZE, "KVM_GET_VCPU_MMAP_SIZE")
    self.init(descriptor: descriptor, runPageByteCount: Int(byteCount))
  }

  init(descriptor: consuming FileDescriptor, runPageByteCount: Int) {
    self.descriptor = descriptor
    self.runPageByteCount = runPageByteCount
  }

  /// The value of a capability of the system; 0 when the kernel does not have it.
  public func value(of capability: KVMCapability) -> Int32 {
    let answer = try? descriptor.call(
      CKVM_CHECK_EXTENSION, value: UInt(bitPattern: Int(capability.rawValue)),
      "KVM_CHECK_EXTENSION \(capability)")
    return answer ?? 0
  }

  /// Whether the kernel has a capability.
  public func has(_ capability: KVMCapability) -> Bool {
    value(of: capability) > 0
  }

  /// The CPUID leaves that this processor and KVM support (KVM_GET_SUPPORTED_CPUID).
  public func supportedCPUID() throws(KVMError) -> [CPUIDEntry] {
    try CPUIDTable.read(
      from: descriptor, request: CKVM_GET_SUPPORTED_CPUID, "KVM_GET_SUPPORTED_CPUID")
  }

  /// The Hyper-V leaves that this KVM implements in the kernel (KVM_GET_SUPPORTED_HV_CPUID).
  ///
  /// - Throws: `.missingCapability` on a KVM without CONFIG_KVM_HYPERV.
  public func supportedHyperVCPUID() throws(KVMError) -> [CPUIDEntry] {
    guard has(.systemHyperVCPUID) else {
      throw .missingCapability(.systemHyperVCPUID, purpose: "the in-kernel Hyper-V interface")
    }
    return try CPUIDTable.read(
      from: descriptor, request: CKVM_GET_SUPPORTED_HV_CPUID, "KVM_GET_SUPPORTED_HV_CPUID")
  }

  /// Makes an empty virtual machine.
  public func makeVirtualMachine() throws(KVMError) -> VirtualMachine {
    let rawValue: Int32
    do {
      rawValue = try descriptor.call(CKVM_CREATE_VM, "KVM_CREATE_VM")
    } catch {
      guard case .call(let operation, let number, _) = error else { throw error }
      throw .call(operation: operation, error: number, cure: KVMError.machineCure(number))
    }
    return VirtualMachine(
      descriptor: FileDescriptor(taking: rawValue), runPageByteCount: runPageByteCount,
      synchronizedRegisterSets: UInt64(value(of: .syncRegisters)))
  }
}
