public import KVM
public import MachineSpecification

/// How Hyper-V's MSRs and hypercalls reach the VMM.
public enum HyperVTransport: String, Hashable, Sendable {
  /// KVM implements the MSRs; extended hypercalls exit as `KVM_EXIT_HYPERV` (Linux 6.3).
  case kernel
  /// MSR accesses and an `out` of the hypercall page exit to this process, which implements them.
  case userspace
  /// The guest finds KVM's own interface, and nothing of Hyper-V.
  case none

  /// Picks the transport, or says why the one asked for is unavailable.
  public static func choose(
    _ selection: HyperVSelection, on system: KVMSystem
  ) throws(MachineError) -> HyperVTransport {
    switch selection {
    case .automatic:
      return kernelObstacle(on: system) == nil ? .kernel : .userspace
    case .kernel:
      if let obstacle = kernelObstacle(on: system) { throw obstacle }
      return .kernel
    case .userspace:
      guard system.has(.userSpaceMSR) else {
        throw .kvm(
          .missingCapability(.userSpaceMSR, purpose: "the userspace Hyper-V interface"))
      }
      return .userspace
    }
  }

  /// What keeps the kernel's transport from working; nil if nothing does.
  public static func kernelObstacle(on system: KVMSystem) -> MachineError? {
    for capability in [KVMCapability.hyperV, .hyperVEnforceCPUID, .systemHyperVCPUID]
    where !system.has(capability) {
      return .kvm(.missingCapability(capability, purpose: "the in-kernel Hyper-V interface"))
    }
    // There is no capability of its own for extended hypercalls: the CPUID bit is the sign.
    let leaf = (try? system.supportedHyperVCPUID())?.first { $0.function == 0x4000_0003 }
    guard let leaf, leaf.ebx & (1 << 20) != 0 else {
      return .unavailable(
        what: "this kernel's KVM does not pass extended hypercalls on",
        cure: "use Linux 6.3 or later, or --hyperv userspace")
    }
    return nil
  }
}
