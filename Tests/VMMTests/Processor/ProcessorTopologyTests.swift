import KVM
import Testing

@testable import VMM

/// What a guest reads of its processors. Needs no KVM.
@Suite struct ProcessorTopologyTests {
  private func entry(
    _ function: UInt32, _ index: UInt32? = nil, eax: UInt32 = 0, ebx: UInt32 = 0, ecx: UInt32 = 0,
    edx: UInt32 = 0
  ) -> CPUIDEntry {
    CPUIDEntry(function: function, index: index, eax: eax, ebx: ebx, ecx: ecx, edx: edx)
  }

  private func applied(_ entry: CPUIDEntry, _ vcpuCount: Int, vcpu id: UInt32 = 0) -> CPUIDEntry {
    ProcessorTopology(vcpuCount: vcpuCount).applied(to: [entry], vcpu: id)[0]
  }

  @Test(arguments: [(1, 1, false), (2, 2, true), (3, 4, true), (4, 4, true), (5, 8, true)])
  func leaf1CountsAddressableIDs(vcpuCount: Int, count: UInt32, isMultiThreaded: Bool) {
    let host = entry(1, ebx: 0xFFFF_0812, edx: 1 << 28 | 1)
    let leaf = applied(host, vcpuCount, vcpu: UInt32(vcpuCount - 1))
    #expect(leaf.ebx == UInt32(vcpuCount - 1) << 24 | count << 16 | 0x0812)
    #expect(leaf.edx == (isMultiThreaded ? 1 << 28 : 0) | 1)
  }

  @Test func intelCachesAreSharedByLevel() {
    // Level 1 data, level 3 unified; the host says 8 sharing, 16 cores.
    let levelOne: UInt32 = 15 << 26 | 7 << 14 | 1 << 5 | 1
    let levelThree: UInt32 = 15 << 26 | 7 << 14 | 3 << 5 | 3
    #expect(applied(entry(4, 0, eax: levelOne), 3).eax == 3 << 26 | 1 << 5 | 1)
    #expect(applied(entry(4, 3, eax: levelThree), 3).eax == 3 << 26 | 2 << 14 | 3 << 5 | 3)
    #expect(applied(entry(4, 4, eax: 0), 3).eax == 0, "the end of the list")
  }

  @Test(arguments: [0xB, 0x1F] as [UInt32])
  func levelsReplaceTheHosts(leaf: UInt32) {
    let host = (0..<6 as Range<UInt32>).map { entry(leaf, $0, eax: 7, ebx: 99, edx: 42) }
    let levels = ProcessorTopology(vcpuCount: 6).applied(to: host, vcpu: 5)
    #expect(
      levels == [
        entry(leaf, 0, eax: 0, ebx: 1, ecx: 0x100, edx: 5),
        entry(leaf, 1, eax: 3, ebx: 6, ecx: 0x201, edx: 5),
        entry(leaf, 2, eax: 0, ebx: 0, ecx: 2, edx: 5),
      ])
  }

  @Test func amdLeaves() {
    let host = [
      entry(0x8000_0001, ecx: 1 << 22), entry(0x8000_0008, eax: 0x3030, ecx: 0x1_703F),
      entry(0x8000_001D, 3, eax: 15 << 14 | 3 << 5 | 3),
      entry(0x8000_001E, eax: 77, ebx: 0x1FF, ecx: 0x701),
    ]
    let guest = ProcessorTopology(vcpuCount: 4).applied(to: host, vcpu: 2)
    #expect(guest[0].ecx == 1 << 22 | 1 << 1)
    #expect(guest[1].ecx == 0x1_0000 | 2 << 12 | 3)
    #expect(guest[1].eax == 0x3030)
    #expect(guest[2].eax == 3 << 14 | 3 << 5 | 3)
    #expect((guest[3].eax, guest[3].ebx, guest[3].ecx) == (2, 2, 0))
  }

  @Test func otherLeavesStay() {
    let host = [entry(0, eax: 0x1F, ebx: 1), entry(7, 0, ebx: 5), entry(0x15, ecx: 9)]
    #expect(ProcessorTopology(vcpuCount: 4).applied(to: host, vcpu: 3) == host)
  }
}
