import HyperVCore
import TestSupport
import Testing

@Suite("Synthetic MSRs: presence and plain registers", .onVCPUThread)
struct SyntheticMSRsTests {
  enum Access: Sendable { case readWrite, readOnly }

  /// All registers there are, what each needs, and what it reads at first.
  static let present: [(SyntheticMSR, Enlightenments, Access, UInt64)] = [
    (.guestOSID, .relaxedTiming, .readWrite, 0), (.hypercall, .relaxedTiming, .readWrite, 0),
    (.vpAssistPage, .relaxedTiming, .readWrite, 0),
    (.vpIndex, .vpIndex, .readOnly, 3), (.reset, .reset, .readWrite, 0),
    (.vpRuntime, .vpRuntime, .readOnly, 777),
    (.timeReferenceCount, .time, .readOnly, 19_999_999), (.referenceTSC, .time, .readWrite, 0),
    (.tscFrequency, .frequencies, .readOnly, 2_500_000_000),
    (.apicFrequency, .frequencies, .readOnly, 1_000_000_000),
    (.crashP0, .crash, .readWrite, 0), (.crashP1, .crash, .readWrite, 0),
    (.crashP2, .crash, .readWrite, 0), (.crashP3, .crash, .readWrite, 0),
    (.crashP4, .crash, .readWrite, 0), (.crashControl, .crash, .readWrite, 0xC000 << 48),
  ]

  @Test("there with its enlightenment alone", arguments: present)
  func there(msr: SyntheticMSR, needs: Enlightenments, access: Access, initial: UInt64) {
    var fixture = MSRFixture(needs)
    #expect(fixture.read(msr) == .value(initial))
    #expect(fixture.write(msr, 0) == (access == .readOnly ? .fault : .done([])))
    #expect(fixture.write(msr, .max) == .fault || access == .readWrite)
  }

  @Test("#GP without its enlightenment, and nothing changes", arguments: present)
  func absent(msr: SyntheticMSR, needs: Enlightenments, access: Access, initial: UInt64) {
    let isAlwaysThere = [.guestOSID, .hypercall, .vpAssistPage].contains(msr)
    var fixture = MSRFixture(isAlwaysThere ? [] : .all.subtracting(needs))
    #expect(fixture.read(msr) == .fault)
    for value in [0, 1, 0x1001, .max] as [UInt64] { #expect(fixture.write(msr, value) == .fault) }
    #expect(fixture.registers.referenceTSC.rawValue == 0)
    #expect(fixture.registers.crashParameters == [0, 0, 0, 0, 0])
  }

  @Test("each VP has its own assist page, in RAM")
  func vpAssistPages() {
    var fixture = MSRFixture(.relaxedTiming)
    #expect(fixture.write(.vpAssistPage, 0x5001) == .done([.vpAssistPageEnabled(5)]))
    fixture.context.vpIndex = 1
    #expect(fixture.read(.vpAssistPage) == .value(0))
    #expect(fixture.write(.vpAssistPage, 0x1_0001) == .fault)
    #expect(fixture.write(.vpAssistPage, 0x1_0000) == .done([]))
    #expect(fixture.write(.vpAssistPage, 0xF001) == .done([.vpAssistPageEnabled(15)]))
    #expect(fixture.read(.vpAssistPage) == .value(0xF001))
    fixture.context.vpIndex = 3
    #expect(fixture.read(.vpAssistPage) == .value(0x5001))
    fixture.registers.reset()
    #expect(fixture.read(.vpAssistPage) == .value(0))
  }

  @Test("every other index of the range is #GP, also with everything on")
  func others() {
    var fixture = MSRFixture()
    let known = Set(Self.present.map(\.0.rawValue))
    for index in SyntheticMSR.range where !known.contains(index) {
      #expect(fixture.read(SyntheticMSR(rawValue: index)) == .fault)
      #expect(fixture.write(SyntheticMSR(rawValue: index), value: 0) == .fault)
      #expect(fixture.write(SyntheticMSR(rawValue: index), value: .max) == .fault)
    }
    for index in [0, 0x10, 0x3FFF_FFFF, 0x4000_0200, 0xC000_0080, .max] as [UInt32] {
      #expect(fixture.read(SyntheticMSR(rawValue: index)) == .fault)
    }
  }

  @Test("what CPUID offers of the served enlightenments, the registers have")
  func served() {
    let served = SyntheticMSRs.servedEnlightenments
    #expect(throws: Never.self) { try served.validate() }
    #expect(Self.present.allSatisfy { served.isSuperset(of: $0.1) })
    let absent: Enlightenments = [
      .virtualAPIC, .syntheticInterrupts, .syntheticTimers, .directSyntheticTimers, .tlbFlush,
      .extendedFlushRanges, .ipi, .xmmInput, .apicVirtualization, .reenlightenment,
      .noNonArchitecturalCoreSharing,
    ]
    #expect(served == .all.subtracting(absent).subtracting(.nested))
  }

  @Test("per-vCPU values come from the context, up to their limits")
  func context() {
    var fixture = MSRFixture()
    fixture.context = VirtualProcessorContext(
      vpIndex: .max, timestampCounter: 0, runTime: .max, ramPageCount: 0)
    #expect(fixture.read(.vpIndex) == .value(0xFFFF_FFFF))
    #expect(fixture.read(.vpRuntime) == .value(.max))
    #expect(fixture.read(.timeReferenceCount) == .value(0))
  }

  @Test(
    "RESET: bit 0 resets, reading gives 0, state stays until reset()",
    arguments: [(0, false), (1, true), (2, false), (3, true), (.max, true)] as [(UInt64, Bool)])
  func reset(value: UInt64, resets: Bool) {
    var fixture = MSRFixture(guestOSID: 5)
    #expect(fixture.write(.reset, value) == .done(resets ? [.reset] : []))
    #expect(fixture.read(.reset) == .value(0))
    #expect(fixture.registers.guestOSID == 5)
  }

  @Test("reset() puts everything back, a lock included")
  func fullReset() {
    var fixture = MSRFixture(guestOSID: 5)
    for (msr, value) in [
      (.hypercall, 0x1003), (.referenceTSC, 0x2001), (.crashP0, 1), (.crashP4, 2),
    ] as [(SyntheticMSR, UInt64)] {
      #expect(fixture.write(msr, value) != .fault)
    }
    fixture.registers.reset()
    for (msr, _, _, initial) in Self.present { #expect(fixture.read(msr) == .value(initial)) }
    #expect(!fixture.registers.isHypercallPageEnabled)
    #expect(fixture.write(.guestOSID, 5) == .done([]))
    #expect(fixture.write(.hypercall, 0x2001) == .done([.hypercallPageEnabled(2)]))
  }

  @Test("any access at all has an outcome", arguments: seeds)
  func anyAccess(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var fixture = MSRFixture(Enlightenments(rawValue: generator.next() | 1))
    for _ in 0..<2000 {
      let index = UInt32.random(in: 0x4000_0000...0x4000_0120, using: &generator)
      let msr = SyntheticMSR(rawValue: index)
      let before = fixture.registers.hypercall
      let outcome = fixture.write(msr, generator.nextOfAnyMagnitude())
      let after = fixture.registers.hypercall
      #expect(outcome != .fault || before == after, "seed \(seed)")
      #expect(!before.isLocked || before == after, "seed \(seed)")
      #expect(fixture.registers.hypercallPage.map { $0 < 16 } ?? true, "seed \(seed)")
      #expect(outcome == .fault || fixture.read(msr) != .fault, "seed \(seed)")
    }
  }
}

extension MSRFixture {
  mutating func write(_ msr: SyntheticMSR, value: UInt64) -> MSRWriteOutcome { write(msr, value) }
}
