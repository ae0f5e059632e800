internal import Glibc
internal import HostSystem
public import HyperVCore
public import KVM

/// Which enlightenments one transport has on this host, and which of them are recommended.
public struct HyperVHost: Hashable, Sendable {
  /// Everything that is available.
  public let all: Enlightenments
  /// The default. As QEMU recommends for Windows: everything, except that AutoEOI is deprecated
  /// only where KVM uses the processor's APIC virtualisation.
  public let recommended: Enlightenments

  /// Asks the host.
  ///
  /// - Parameter offersNesting: whether the guest finds VMX or SVM.
  public init(
    _ transport: HyperVTransport, on system: KVMSystem, offersNesting: Bool
  ) throws(MachineError) {
    switch transport {
    case .kernel:
      let leaves = try kvm { () throws(KVMError) in try system.supportedHyperVCPUID() }
      self.init(
        supportedLeaves: leaves, offersNesting: offersNesting,
        virtualizesAPIC: Self.virtualizesAPIC)
    case .userspace:
      self.init(all: SyntheticMSRs.servedEnlightenments)
    case .none:
      self.init(all: [])
    }
  }

  private init(all: Enlightenments) {
    self.all = all
    recommended = all
  }

  /// - Parameter supportedLeaves: what KVM_GET_SUPPORTED_HV_CPUID answered.
  init(supportedLeaves: [CPUIDEntry], offersNesting: Bool, virtualizesAPIC: Bool) {
    let supported = Self.enlightenments(in: supportedLeaves)
    all = offersNesting ? supported : supported.subtracting(.nested)
    recommended = virtualizesAPIC ? all : all.subtracting(.apicVirtualization)
  }

  /// Those of which every bit is in KVM's leaves.
  private static func enlightenments(in leaves: [CPUIDEntry]) -> Enlightenments {
    func leaf(_ function: UInt32) -> CPUIDEntry {
      leaves.first { $0.function == function }
        ?? CPUIDEntry(function: function, eax: 0, ebx: 0, ecx: 0, edx: 0)
    }
    let features = leaf(0x4000_0003)
    let privileges = PartitionPrivileges(
      rawValue: UInt64(features.ebx) << 32 | UInt64(features.eax))
    let advice = ImplementationRecommendations(rawValue: leaf(0x4000_0004).eax)
    let nested = NestedFeatures(rawValue: leaf(HyperVCPUID.lastNestedFunction).eax)
    let other = HypervisorFeatures(rawValue: features.edx)
    return Enlightenments.all.members.reduce(into: []) { found, member in
      if PartitionPrivileges(member).isSubset(of: privileges)
        && HypervisorFeatures(member, locksHypercallMSR: false).isSubset(of: other)
        && ImplementationRecommendations(member).isSubset(of: advice)
        && NestedFeatures(member).isSubset(of: nested)
      {
        found.formUnion(member)
      }
    }
  }

  /// Whether KVM uses Intel's APICv or AMD's AVIC. Read once, while files can be opened.
  public static let virtualizesAPIC: Bool = [
    "/sys/module/kvm_intel/parameters/enable_apicv", "/sys/module/kvm_amd/parameters/avic",
  ].contains { path in
    // SAFETY: the path is lent, terminated, for the call.
    guard let file = try? FileDescriptor({ unsafe open(path, O_RDONLY | O_CLOEXEC) }) else {
      return false
    }
    var byte: UInt8 = 0
    // SAFETY: one byte, which lives for the call.
    guard unsafe read(file.rawValue, &byte, 1) == 1 else { return false }
    return byte == UInt8(ascii: "Y") || byte == UInt8(ascii: "1")
  }
}

/// What comes of a selection on a host.
struct OfferedEnlightenments {
  /// What the guest gets.
  let offered: Enlightenments
  /// What was asked for by name and is not available, with what needs it.
  let missing: Enlightenments

  /// - Throws: `.enlightenments` when the selection does not hold together, `.configuration` when
  ///   it has what only nested guests use, without nesting.
  init(
    _ selection: EnlightenmentSelection, reportsZeroedMemory: Bool, takesMemoryHints: Bool,
    offersNesting: Bool, on host: HyperVHost
  ) throws(MachineError) {
    var asked = selection.resolved(recommended: host.recommended, all: host.all)
    if !reportsZeroedMemory { asked.remove(.bootZeroedMemory) }
    if !takesMemoryHints { asked.remove(.memoryHeatHint) }
    do throws(EnlightenmentError) { try asked.validate() } catch { throw .enlightenments(error) }
    let nested = asked.intersection(.nested)
    guard offersNesting || nested.isEmpty else {
      throw .configuration(
        "Hyper-V enlightenment \(nested) is for guests with guests of their own; add --nested or"
          + " remove it")
    }
    // KVM does nothing for this one: it reports where it holds, and a user who pins vCPUs may know
    // better.
    let absent = asked.subtracting(host.all).subtracting(.noNonArchitecturalCoreSharing)
    offered = asked.removing(absent)
    missing = asked.subtracting(offered)
  }
}
