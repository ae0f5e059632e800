internal import GuestMemory
internal import HyperVCore
internal import KVM

/// The CPUID table of a vCPU: the processor's leaves, and Hyper-V's in place of KVM's own, or
/// these.
struct GuestCPUID {
  private let processor: [CPUIDEntry]
  private let hypervisor: [CPUIDEntry]
  private let topology: ProcessorTopology

  /// - Parameter enlightenments: what the transport has; a bit that KVM does not serve would be a
  ///   #GP in the guest, as KVM_CAP_HYPERV_ENFORCE_CPUID is on.
  /// - Throws: `.enlightenments` when the set does not hold together.
  init(
    system: KVMSystem, transport: HyperVTransport, enlightenments: Enlightenments,
    parameters: HyperVParameters, vcpuCount: Int, offersNesting: Bool
  ) throws(MachineError) {
    let supported = try kvm { () throws(KVMError) in try system.supportedCPUID() }
    processor = Self.processor(
      supported, brand: Self.brandOfHost, offersNesting: offersNesting)
    topology = ProcessorTopology(vcpuCount: vcpuCount)
    if transport == .none {
      hypervisor = supported.filter { Self.leavesOfKVM.contains($0.function) }
      return
    }
    let leaves: [HyperVLeaf]
    do {
      leaves =
        try HyperVCPUID(
          enlightenments: enlightenments, virtualProcessorCount: vcpuCount,
          locksHypercallMSR: transport == .userspace, parameters: parameters
        ).leaves
    } catch {
      throw .enlightenments(error)
    }
    hypervisor = leaves.map {
      CPUIDEntry(function: $0.function, eax: $0.eax, ebx: $0.ebx, ecx: $0.ecx, edx: $0.edx)
    }
  }

  /// What KVM supports, without its own hypervisor leaves and, unless offered, without what virtual
  /// machines in the guest would need.
  static func processor(
    _ supported: [CPUIDEntry], brand: [CPUIDEntry], offersNesting: Bool
  ) -> [CPUIDEntry] {
    supported.compactMap { entry in
      var entry = entry
      switch entry.function {
      // All of 0x4000_0000 and up is one hypervisor's: a guest that found KVM's signature too could
      // use interfaces that know nothing of the tracker.
      case 0x4000_0000...0x4FFF_FFFF: return nil
      case 1:
        entry.ecx |= 1 << 31  // a hypervisor is present
        if !offersNesting { entry.ecx &= ~(1 << 5) }  // VMX
      case 0x8000_0001:
        if !offersNesting { entry.ecx &= ~(1 << 2) }  // SVM
        // AMD. Windows Server 2022 that finds the core performance counters (bit 23) without the
        // topology leaves (bit 22) starts for ever. Source: Propolis, ff52055f.
        if entry.ecx & 1 << 22 == 0 { entry.ecx &= ~(1 << 23) }
      case 0x8000_000A where !offersNesting: return nil  // SVM's revision and features
      case brandLeaves: return nil
      default: break
      }
      return entry
    } + brand
  }

  /// Its signature and its features. Source: Documentation/virt/kvm/x86/cpuid.rst
  private static let leavesOfKVM: ClosedRange<UInt32> = 0x4000_0000...0x4000_0001

  /// The processor's brand string, 16 bytes a leaf. KVM may not list it, and a guest then shows no
  /// name.
  private static let brandLeaves: ClosedRange<UInt32> = 0x8000_0002...0x8000_0004

  static var brandOfHost: [CPUIDEntry] { brandLeaves.map { CPUIDEntry(ofHost: $0) } }

  /// - Throws: `.unavailable` if the processor cannot address all of the memory: KVM takes such a
  ///   slot, or says no more than EINVAL, and the guest faults where it touches it.
  func checkAddresses(of layout: GuestMemoryLayout) throws(MachineError) {
    try AddressWidth(processor).check(layout)
  }

  func table(forVCPU id: UInt32) -> [CPUIDEntry] {
    topology.applied(to: processor, vcpu: id) + hypervisor
  }
}
