internal import GuestMemory
internal import HyperVCore
internal import KVM

/// The CPUID table of a vCPU: the processor's leaves, and Hyper-V's in place of KVM's own.
struct GuestCPUID {
  private let processor: [CPUIDEntry]
  private let hypervisor: [CPUIDEntry]
  private let topology: ProcessorTopology
  /// What was asked for and the kernel's interface does not have.
  let missing: Enlightenments

  /// - Throws: `.enlightenments` when the set does not hold together.
  init(
    system: KVMSystem, transport: HyperVTransport, enlightenments: Enlightenments, vcpuCount: Int
  ) throws(MachineError) {
    // All of 0x4000_0000 and up is one hypervisor's: a guest that found KVM's signature too could
    // use interfaces that know nothing of the tracker.
    processor = try kvm { () throws(KVMError) in
      try system.supportedCPUID().filter { $0.function >> 28 != 4 }.map { entry in
        var entry = entry
        if entry.function == 1 { entry.ecx |= 1 << 31 }  // a hypervisor is present
        return entry
      }
    }
    topology = ProcessorTopology(vcpuCount: vcpuCount)
    let leaves: [HyperVLeaf]
    do {
      leaves =
        try HyperVCPUID(
          enlightenments: enlightenments, virtualProcessorCount: vcpuCount,
          locksHypercallMSR: transport == .userspace
        ).leaves
    } catch {
      throw .enlightenments(error)
    }
    var entries = leaves.map {
      CPUIDEntry(function: $0.function, eax: $0.eax, ebx: $0.ebx, ecx: $0.ecx, edx: $0.edx)
    }
    if transport == .kernel {
      let supported = try kvm { () throws(KVMError) in try system.supportedHyperVCPUID() }
      entries = entries.map { Self.limited($0, to: supported) }
      missing = Self.missing(of: enlightenments, in: supported)
    } else {
      missing = []
    }
    hypervisor = entries
  }

  /// The enlightenments of which a feature bit is not supported.
  private static func missing(
    of enlightenments: Enlightenments, in supported: [CPUIDEntry]
  ) -> Enlightenments {
    guard let mask = supported.first(where: { $0.function == 0x4000_0003 }) else { return [] }
    let privileges = UInt64(mask.ebx) << 32 | UInt64(mask.eax)
    var missing: Enlightenments = []
    for member in enlightenments.members {
      let wanted = PartitionPrivileges(member).rawValue
      let features = HypervisorFeatures(member, locksHypercallMSR: false).rawValue
      if wanted & ~privileges != 0 || features & ~mask.edx != 0 { missing.formUnion(member) }
    }
    return missing
  }

  /// Takes out feature bits that the kernel does not implement: with KVM_CAP_HYPERV_ENFORCE_CPUID a
  /// bit that is advertised and not served would be a #GP in the guest.
  private static func limited(_ entry: CPUIDEntry, to supported: [CPUIDEntry]) -> CPUIDEntry {
    guard entry.function == 0x4000_0003,
      let mask = supported.first(where: { $0.function == entry.function })
    else { return entry }
    var limited = entry
    limited.eax &= mask.eax
    limited.ebx &= mask.ebx
    limited.edx &= mask.edx
    return limited
  }

  /// - Throws: `.unavailable` if the processor cannot address all of the memory: KVM takes such a
  ///   slot,
  ///   or says no more than EINVAL, and the guest faults where it touches it.
  func checkAddresses(of layout: GuestMemoryLayout) throws(MachineError) {
    try AddressWidth(processor).check(layout)
  }

  func table(forVCPU id: UInt32) -> [CPUIDEntry] {
    topology.applied(to: processor, vcpu: id) + hypervisor
  }
}
