import HyperVCore
import Testing

@Suite("CPUID leaves, TLFS Feature Discovery")
struct HyperVCPUIDTests {
  /// What one enlightenment adds to leaf 3 EAX, EBX, EDX, leaf 4 EAX and leaf 10 EAX.
  struct Vector: Sendable, CustomTestStringConvertible {
    let member: Enlightenments
    var eax: UInt32 = 0
    var ebx: UInt32 = 0
    var edx: UInt32 = 0
    var advice: UInt32 = 0
    var nested: UInt32 = 0
    var testDescription: String { "\(member)" }
  }

  static let vectors = [
    Vector(member: .relaxedTiming, advice: 1 << 5),
    Vector(member: .virtualAPIC, eax: 1 << 4, advice: 1 << 3),
    Vector(member: .vpIndex, eax: 1 << 6),
    Vector(member: .vpRuntime, eax: 1 << 0),
    Vector(member: .crash, edx: 1 << 10),
    Vector(member: .time, eax: 1 << 1 | 1 << 9),
    Vector(member: .reset, eax: 1 << 7),
    Vector(member: .frequencies, eax: 1 << 11, edx: 1 << 8),
    Vector(member: .syntheticInterrupts, eax: 1 << 2),
    Vector(member: .syntheticTimers, eax: 1 << 3),
    Vector(member: .tlbFlush, advice: 1 << 2 | 1 << 11),
    Vector(member: .ipi, advice: 1 << 10 | 1 << 11),
    Vector(member: .directSyntheticTimers, edx: 1 << 19),
    Vector(member: .extendedFlushRanges, edx: 1 << 14),
    Vector(member: .xmmInput, edx: 1 << 4),
    Vector(member: .apicVirtualization, advice: 1 << 9),
    Vector(member: .reenlightenment, eax: 1 << 13),
    Vector(member: .noNonArchitecturalCoreSharing, advice: 1 << 18),
    Vector(member: .directFlush, nested: 1 << 17),
    Vector(member: .enlightenedVMCS, advice: 1 << 14, nested: 0x0101),
    Vector(member: .enlightenedMSRBitmap, nested: 1 << 19),
    Vector(member: .extendedHypercalls, ebx: 1 << 20),
    Vector(member: .bootZeroedMemory),
    Vector(member: .memoryHeatHint),
  ]

  @Test("what one enlightenment brings, with its requirements", arguments: vectors)
  func one(vector: Vector) throws {
    let chosen = vector.member.union(Enlightenments.requirements(of: vector.member))
    let parts = Self.vectors.filter { chosen.contains($0.member) }
    let leaves = try HyperVCPUID(enlightenments: chosen, virtualProcessorCount: 1).leaves
    #expect(leaves[3].eax == parts.reduce(1 << 5) { $0 | $1.eax })
    #expect(leaves[3].ebx == parts.reduce(0) { $0 | $1.ebx })
    #expect(leaves[3].ecx == 0)
    #expect(leaves[3].edx == parts.reduce(0) { $0 | $1.edx })
    #expect(leaves[4].eax == parts.reduce(0) { $0 | $1.advice })
    let nested = parts.reduce(0) { $0 | $1.nested }
    #expect(leaves[0].eax == (nested == 0 ? 0x4000_0006 : 0x4000_000A))
    #expect(leaves.count == (nested == 0 ? 7 : 11))
    #expect(leaves.dropFirst(10).map(\.eax) == (nested == 0 ? [] : [nested]))
  }

  @Test("where the processor virtualises the APIC its MSRs are not recommended")
  func virtualAPIC() throws {
    let leaves = try HyperVCPUID(
      enlightenments: [.virtualAPIC, .apicVirtualization], virtualProcessorCount: 1
    ).leaves
    #expect(leaves[3].eax == 1 << 4 | 1 << 5)
    #expect(leaves[4].eax == 1 << 9)
  }

  @Test("values: spin retries, vendor, version")
  func values() throws {
    var parameters = HyperVParameters()
    parameters.spinRetryCount = 0xFFF
    parameters.vendor = try #require(HypervisorVendor("KVMKVM"))
    parameters.version = HypervisorVersion(
      major: 6, minor: 3, build: 9600, serviceNumber: 0xAB_CDEF, servicePack: 2, serviceBranch: 0x12
    )
    let leaves = try HyperVCPUID(
      enlightenments: .time, virtualProcessorCount: 1, parameters: parameters
    ).leaves
    #expect(leaves[4].ebx == 0xFFF)
    #expect(
      leaves[0]
        == HyperVLeaf(
          function: 0x4000_0000, eax: 0x4000_0006, ebx: 0x4B4D_564B, ecx: 0x0000_4D56, edx: 0))
    #expect(
      leaves[2]
        == HyperVLeaf(
          function: 0x4000_0002, eax: 9600, ebx: 0x0006_0003, ecx: 2, edx: 0x12AB_CDEF))
  }

  @Test("vendors that fit", arguments: ["x", "Microsoft Hv", "            ", "~ 123456 ~"])
  func vendor(text: String) {
    #expect(HypervisorVendor(text)?.description == text)
  }

  @Test(
    "vendors that do not", arguments: ["", "1234567890123", "Hv\n", "Hyper\u{2011}V", "\u{7F}"])
  func noVendor(text: String) {
    #expect(HypervisorVendor(text) == nil)
  }

  @Test(
    "versions as text",
    arguments: [
      ("10.0.14393", HypervisorVersion(major: 10, minor: 0, build: 14393)),
      (
        "65535.65535.4294967295.16777215-4294967295-255",
        HypervisorVersion(
          major: .max, minor: .max, build: .max, serviceNumber: 0xFF_FFFF, servicePack: .max,
          serviceBranch: .max)
      ),
      (
        "10.0.20348.2227", HypervisorVersion(major: 10, minor: 0, build: 20348, serviceNumber: 2227)
      ),
    ])
  func version(text: String, version: HypervisorVersion) {
    #expect(HypervisorVersion(text) == version)
    #expect(HypervisorVersion(version.description) == version)
    #expect(version.description.hasPrefix(text))
  }

  @Test(
    "no versions",
    arguments: [
      "", "10", "10.0", "10.0.", "10.0.1.2.3", "10.0.1-0-0", "10.0.1.2-0", "65536.0.0", "0.65536.0",
      "0.0.4294967296", "0.0.0.16777216", "0.0.0.0-0-256", "+1.0.0", "1.0.+1", "1.0.0.0-+1-0",
      "1.0.0 ", "1.0.0x1", "-1.0.0", "1.0.0.0-0-0-0",
    ])
  func noVersion(text: String) {
    #expect(HypervisorVersion(text) == nil)
  }

  @Test("everything on, literal values")
  func everything() throws {
    let cpuid = try HyperVCPUID(enlightenments: .all, virtualProcessorCount: 8)
    #expect(
      cpuid.leaves == [
        HyperVLeaf(
          function: 0x4000_0000, eax: 0x4000_000A, ebx: 0x7263_694D, ecx: 0x666F_736F,
          edx: 0x7648_2074),
        HyperVLeaf(function: 0x4000_0001, eax: 0x3123_7648),
        HyperVLeaf(function: 0x4000_0002, eax: 0x3839, ebx: 0x000A_0000),
        HyperVLeaf(function: 0x4000_0003, eax: 0x2AFF, ebx: 0x0010_0000, ecx: 0, edx: 0x8_4510),
        HyperVLeaf(function: 0x4000_0004, eax: 0x4_4E24, ebx: 0xFFFF_FFFF),
        HyperVLeaf(function: 0x4000_0005, eax: 8),
        HyperVLeaf(function: 0x4000_0006), HyperVLeaf(function: 0x4000_0007),
        HyperVLeaf(function: 0x4000_0008), HyperVLeaf(function: 0x4000_0009),
        HyperVLeaf(function: 0x4000_000A, eax: 0xA_0101),
      ])
  }

  @Test("the vendor spells Microsoft Hv, the interface Hv#1")
  func texts() throws {
    let leaves = try HyperVCPUID(enlightenments: .time, virtualProcessorCount: 1).leaves
    func text(_ registers: [UInt32]) -> String {
      String(
        decoding: registers.flatMap { register in
          (0..<4).map { UInt8(truncatingIfNeeded: register >> (8 * UInt32($0))) }
        }, as: UTF8.self)
    }
    #expect(text([leaves[0].ebx, leaves[0].ecx, leaves[0].edx]) == "Microsoft Hv")
    #expect(text([leaves[1].eax]) == "Hv#1")
  }

  @Test("no enlightenment, no leaf")
  func nothing() throws {
    #expect(try HyperVCPUID(enlightenments: [], virtualProcessorCount: 4).leaves.isEmpty)
  }

  @Test("the lock of HYPERCALL is advertised only where it works, EDX bit 18")
  func lock() throws {
    let without = try HyperVCPUID(enlightenments: .time, virtualProcessorCount: 1)
    let with = try HyperVCPUID(
      enlightenments: .time, virtualProcessorCount: 1, locksHypercallMSR: true)
    #expect(without.leaves[3].edx == 0)
    #expect(with.leaves[3].edx == 1 << 18)
  }

  @Test("number of virtual processors", arguments: [1, 2, 64, 65, 4_294_967_295])
  func processors(count: Int) throws {
    let leaves = try HyperVCPUID(enlightenments: .time, virtualProcessorCount: count).leaves
    #expect(leaves[5] == HyperVLeaf(function: 0x4000_0005, eax: UInt32(count)))
  }

  @Test("impossible numbers", arguments: [0, -1, .min, 4_294_967_296, .max])
  func impossibleProcessors(count: Int) {
    let error = #expect(throws: EnlightenmentError(.virtualProcessorCount(count))) {
      try HyperVCPUID(enlightenments: .time, virtualProcessorCount: count)
    }
    #expect(error?.description.contains("\(count) virtual processors") == true)
  }

  @Test("an inconsistent set is refused")
  func inconsistent() {
    #expect(throws: EnlightenmentError(.missing(.extendedHypercalls, neededBy: .bootZeroedMemory)))
    {
      try HyperVCPUID(enlightenments: .bootZeroedMemory, virtualProcessorCount: 1)
    }
  }

  @Test("for any valid set: no bit of a root partition, no messages, hypercall MSRs")
  func anySet() throws {
    for chosen in EnlightenmentsTests.sets where !chosen.isEmpty {
      let closed = chosen.union(Enlightenments.requirements(of: chosen))
      let leaves = try HyperVCPUID(enlightenments: closed, virtualProcessorCount: 1).leaves
      let last: UInt32 = closed.isDisjoint(with: .nested) ? 0x4000_0006 : 0x4000_000A
      #expect(leaves.map(\.function) == Array(0x4000_0000...last))
      #expect(leaves[3].eax & 1 << 5 != 0)
      #expect(leaves[3].ebx & ~(1 << 20) == 0)
    }
  }

  @Test("text of a leaf")
  func leafText() {
    let leaf = HyperVLeaf(function: 0x4000_0003, eax: 0x20, ebx: 0x10_0000, ecx: 0, edx: 1)
    #expect("\(leaf)" == "0x40000003: eax 0x20, ebx 0x100000, ecx 0x0, edx 0x1")
  }
}
