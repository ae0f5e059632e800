import HyperVCore
import KVM
import Testing

@testable import VMM

/// What of the interface a host has, by KVM's answer. Needs no KVM.
@Suite struct HyperVHostTests {
  /// What Linux 6.12 answers on an AMD processor whose threads may share cores.
  static let linux612 = [
    CPUIDEntry(
      function: 0x4000_0003, eax: 0xAAFF, ebx: 0x0010_0830, ecx: 0, edx: 0x0008_4D12),
    CPUIDEntry(function: 0x4000_0004, eax: 0x0E2C, ebx: 0xFFF, ecx: 0, edx: 0),
    CPUIDEntry(function: 0x4000_000A, eax: 0xA_0000, ebx: 1, ecx: 0, edx: 0),
  ]

  private func host(
    _ leaves: [CPUIDEntry] = linux612, nesting: Bool = false, apic: Bool = false
  ) -> HyperVHost {
    HyperVHost(supportedLeaves: leaves, offersNesting: nesting, virtualizesAPIC: apic)
  }

  @Test func everythingButNestedFeatures() {
    let expected = Enlightenments.all.subtracting(.nested)
      .subtracting(.noNonArchitecturalCoreSharing)
    #expect(host().all == expected)
    #expect(host().recommended == expected.subtracting(.apicVirtualization))
    #expect(host(apic: true).recommended == expected)
  }

  @Test func nestedFeaturesOfTheProcessor() {
    #expect(
      host(nesting: true).all.intersection(.nested) == [.directFlush, .enlightenedMSRBitmap])
    var leaves = Self.linux612
    leaves[1].eax |= 1 << 14
    leaves[2].eax |= 0x0101
    #expect(host(leaves, nesting: true).all.isSuperset(of: .nested))
    #expect(host(leaves).all.isDisjoint(with: .nested))
  }

  @Test func coresThatAreNotShared() {
    var leaves = Self.linux612
    leaves[1].eax |= 1 << 18
    #expect(host(leaves).recommended.contains(.noNonArchitecturalCoreSharing))
  }

  @Test(arguments: Enlightenments.all.subtracting([.bootZeroedMemory, .memoryHeatHint]).members)
  func aMissingBitIsAMissingEnlightenment(member: Enlightenments) {
    let privileges = PartitionPrivileges(member).subtracting(.accessHypercallMSRs).rawValue
    var leaves = Self.linux612
    leaves[0].eax &= ~UInt32(truncatingIfNeeded: privileges)
    leaves[0].ebx &= ~UInt32(truncatingIfNeeded: privileges >> 32)
    leaves[0].edx &= ~HypervisorFeatures(member, locksHypercallMSR: false).rawValue
    leaves[1].eax &= ~ImplementationRecommendations(member).rawValue
    leaves[2].eax &= ~NestedFeatures(member).rawValue
    #expect(!host(leaves, nesting: true).all.contains(member))
  }

  private func offered(
    _ selection: EnlightenmentSelection, zeroed: Bool = true, hints: Bool = true,
    nesting: Bool = false, on host: HyperVHost
  ) throws -> OfferedEnlightenments {
    try OfferedEnlightenments(
      selection, reportsZeroedMemory: zeroed, takesMemoryHints: hints, offersNesting: nesting,
      on: host)
  }

  @Test func whatIsAskedForAndNotThereIsMissingWithWhatNeedsIt() throws {
    var leaves = Self.linux612
    leaves[0].eax &= ~(1 << 2)  // no SynIC
    let host = host(leaves)
    let asked: Enlightenments = [
      .vpIndex, .time, .syntheticInterrupts, .syntheticTimers, .directSyntheticTimers,
    ]
    let choice = try offered(.exactly(asked), on: host)
    #expect(choice.offered == [.vpIndex, .time])
    #expect(choice.missing == [.syntheticInterrupts, .syntheticTimers, .directSyntheticTimers])
  }

  @Test func defaultsMissNothing() throws {
    for base in [EnlightenmentSelection.recommended, EnlightenmentSelection(.all)] {
      let choice = try offered(base, on: host())
      #expect(choice.missing == [])
      #expect(
        choice.offered.contains([
          .virtualAPIC, .directSyntheticTimers, .bootZeroedMemory, .memoryHeatHint,
        ]))
    }
    #expect(
      try !offered(.recommended, zeroed: false, on: host()).offered.contains(.bootZeroedMemory))
    #expect(
      try !offered(.recommended, hints: false, on: host()).offered.contains(.memoryHeatHint))
  }

  @Test func coreSharingIsTheUsersWord() throws {
    let choice = try offered(.exactly(.noNonArchitecturalCoreSharing), on: host())
    #expect(choice.offered == .noNonArchitecturalCoreSharing && choice.missing == [])
  }

  @Test func whatIsRemovedMayNotBeNeeded() throws {
    let error = #expect(throws: MachineError.self) {
      try offered(EnlightenmentSelection(.recommended, removing: .syntheticInterrupts), on: host())
    }
    #expect(
      error?.description == "cannot enable Hyper-V enlightenment stimer without synic; "
        + "add synic or remove stimer")
  }

  @Test func nestedFeaturesNeedNesting() throws {
    let error = #expect(throws: MachineError.self) {
      try offered(.exactly([.virtualAPIC, .directFlush]), on: host())
    }
    #expect(error?.description.contains("tlbflush-direct") == true)
    #expect(error?.description.contains("--nested") == true)
    let choice = try offered(
      .exactly([.virtualAPIC, .directFlush, .enlightenedVMCS]), nesting: true,
      on: host(nesting: true))
    #expect(choice.missing == .enlightenedVMCS)
  }
}
