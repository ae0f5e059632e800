import KVM
import Testing

@testable import VMM

/// What of the processor's leaves a guest reads. Needs no KVM.
@Suite struct GuestCPUIDTests {
  private static func entry(_ function: UInt32, eax: UInt32 = 0, ecx: UInt32 = 0) -> CPUIDEntry {
    CPUIDEntry(function: function, eax: eax, ebx: 0x11, ecx: ecx, edx: 0x22)
  }

  private static let host = [
    entry(0), entry(1, ecx: 1 << 5 | 1 << 26), entry(0x4000_0000, eax: 0x4000_0001),
    entry(0x4000_0001), entry(0x8000_0001, ecx: 1 << 2 | 1 << 6), entry(0x8000_0008),
    entry(0x8000_000A, eax: 1), entry(0x8000_001E),
  ]

  private static let brand = [entry(0x8000_0002, eax: 0x414D_4441), entry(0x8000_0003)]

  @Test func virtualMachineExtensionsAreHidden() {
    #expect(
      GuestCPUID.processor(Self.host, brand: [], offersNesting: false) == [
        Self.entry(0), Self.entry(1, ecx: 1 << 31 | 1 << 26), Self.entry(0x8000_0001, ecx: 1 << 6),
        Self.entry(0x8000_0008), Self.entry(0x8000_001E),
      ])
  }

  @Test(
    arguments: [
      (1 << 22 | 1 << 23, 1 << 22 | 1 << 23), (1 << 23, 0), (1 << 22, 1 << 22),
      (1 << 24 | 1 << 23, 1 << 24),
    ] as [(UInt32, UInt32)])
  func coreCountersNeedTheTopologyLeaves(host: UInt32, guest: UInt32) {
    #expect(
      GuestCPUID.processor([Self.entry(0x8000_0001, ecx: host)], brand: [], offersNesting: true)
        == [Self.entry(0x8000_0001, ecx: guest)])
  }

  @Test func virtualMachineExtensionsAreShownOnRequest() {
    #expect(
      GuestCPUID.processor(Self.host, brand: [], offersNesting: true) == [
        Self.entry(0), Self.entry(1, ecx: 1 << 31 | 1 << 26 | 1 << 5),
        Self.entry(0x8000_0001, ecx: 1 << 6 | 1 << 2), Self.entry(0x8000_0008),
        Self.entry(0x8000_000A, eax: 1), Self.entry(0x8000_001E),
      ])
  }

  @Test func theBrandIsTheProcessorsAndNotKVMs() {
    let kvm = [Self.entry(0), Self.entry(0x8000_0002, eax: 0x204D_564B)]
    #expect(
      GuestCPUID.processor(kvm, brand: Self.brand, offersNesting: false)
        == [Self.entry(0)] + Self.brand)
  }

  @Test func theBrandOfTheHostIsText() {
    let text = GuestCPUID.brandOfHost.flatMap { [$0.eax, $0.ebx, $0.ecx, $0.edx] }
    #expect(text.count == 12)
    #expect(text[0] != 0)
  }
}
