import HyperVCore
import TestSupport
import Testing

@Suite("GUEST_OS_ID and HYPERCALL, TLFS Establishing the Hypercall Interface", .onVCPUThread)
struct HypercallMSRTests {
  /// A write, what comes of it, and what HYPERCALL then reads.
  struct Step: Sendable {
    let msr: SyntheticMSR
    let value: UInt64
    let outcome: MSRWriteOutcome
    let hypercall: UInt64

    init(_ msr: SyntheticMSR, _ value: UInt64, _ outcome: MSRWriteOutcome, reads: UInt64) {
      self.msr = msr
      self.value = value
      self.outcome = outcome
      hypercall = reads
    }
  }

  struct Scenario: Sendable, CustomTestStringConvertible {
    let name: String
    let steps: [Step]
    var testDescription: String { name }
  }

  static let identity = Step(.guestOSID, MSRFixture.linux, .done([]), reads: 0)

  static let scenarios = [
    Scenario(
      name: "identity, page, off, on again",
      steps: [
        identity,
        Step(.hypercall, 0x5001, .done([.hypercallPageEnabled(5)]), reads: 0x5001),
        Step(.hypercall, 0x5000, .done([.hypercallPageDisabled]), reads: 0x5000),
        Step(.hypercall, 0x5001, .done([.hypercallPageEnabled(5)]), reads: 0x5001),
      ]),
    Scenario(
      name: "without identity Enable stays 0",
      steps: [
        Step(.hypercall, 0x5001, .done([]), reads: 0x5000),
        Step(.guestOSID, 1, .done([]), reads: 0x5000),
        Step(.hypercall, 0x5001, .done([.hypercallPageEnabled(5)]), reads: 0x5001),
      ]),
    Scenario(
      name: "identity 0 takes the page away",
      steps: [
        identity,
        Step(.hypercall, 0x5001, .done([.hypercallPageEnabled(5)]), reads: 0x5001),
        Step(.guestOSID, 2, .done([]), reads: 0x5001),
        Step(.guestOSID, 0, .done([.hypercallPageDisabled]), reads: 0x5000),
        Step(.guestOSID, 0, .done([]), reads: 0x5000),
        Step(.guestOSID, 2, .done([]), reads: 0x5000),
      ]),
    Scenario(
      name: "the page moves: off, then on",
      steps: [
        identity,
        Step(.hypercall, 0x5001, .done([.hypercallPageEnabled(5)]), reads: 0x5001),
        Step(
          .hypercall, 0x6001, .done([.hypercallPageDisabled, .hypercallPageEnabled(6)]),
          reads: 0x6001),
      ]),
    Scenario(
      name: "writing the same again does nothing",
      steps: [
        identity,
        Step(.hypercall, 0x5001, .done([.hypercallPageEnabled(5)]), reads: 0x5001),
        Step(.hypercall, 0x5001, .done([]), reads: 0x5001),
      ]),
    Scenario(
      name: "reserved bits 11:2 are kept",
      steps: [
        identity,
        Step(.hypercall, 0x5FFD, .done([.hypercallPageEnabled(5)]), reads: 0x5FFD),
      ]),
    Scenario(
      name: "first and last page of RAM, then the first past it",
      steps: [
        identity,
        Step(.hypercall, 0x0001, .done([.hypercallPageEnabled(0)]), reads: 0x0001),
        Step(
          .hypercall, 0xF001, .done([.hypercallPageDisabled, .hypercallPageEnabled(15)]),
          reads: 0xF001),
        Step(.hypercall, 0x1_0001, .fault, reads: 0xF001),
        Step(.hypercall, 0xFFFF_FFFF_FFFF_F001, .fault, reads: 0xF001),
        Step(.hypercall, .max, .fault, reads: 0xF001),
      ]),
    Scenario(
      name: "a page outside RAM is only a number while not enabled",
      steps: [
        Step(.hypercall, .max & ~2, .done([]), reads: .max & ~3),
        Step(.guestOSID, 1, .done([]), reads: .max & ~3),
        Step(.hypercall, 0xFFFF_0000, .done([]), reads: 0xFFFF_0000),
      ]),
    Scenario(
      name: "locked: nothing moves it, identity 0 included",
      steps: [
        identity,
        Step(.hypercall, 0x5003, .done([.hypercallPageEnabled(5)]), reads: 0x5003),
        Step(.hypercall, 0x6001, .done([]), reads: 0x5003),
        Step(.hypercall, 0, .done([]), reads: 0x5003),
        Step(.hypercall, .max, .done([]), reads: 0x5003),
        Step(.guestOSID, 0, .done([]), reads: 0x5003),
      ]),
    Scenario(
      name: "locked while off: stays off",
      steps: [
        identity,
        Step(.hypercall, 0x2, .done([]), reads: 0x2),
        Step(.hypercall, 0x5001, .done([]), reads: 0x2),
      ]),
    Scenario(
      name: "a faulting write does not lock",
      steps: [
        identity,
        Step(.hypercall, 0xFF_F003, .fault, reads: 0),
        Step(.hypercall, 0x5001, .done([.hypercallPageEnabled(5)]), reads: 0x5001),
      ]),
  ]

  @Test("state machine", arguments: scenarios)
  func scenario(scenario: Scenario) {
    var fixture = MSRFixture(.relaxedTiming)
    for (number, step) in scenario.steps.enumerated() {
      let outcome = fixture.write(step.msr, step.value)
      #expect(outcome == step.outcome, "step \(number)")
      #expect(fixture.read(.hypercall) == .value(step.hypercall), "step \(number)")
      if step.msr == .guestOSID {
        #expect(fixture.read(.guestOSID) == .value(step.value), "step \(number)")
      }
      let isEnabled = step.hypercall & 1 == 1
      #expect(fixture.registers.isHypercallPageEnabled == isEnabled, "step \(number)")
      #expect(
        fixture.registers.hypercallPage == (isEnabled ? step.hypercall >> 12 : nil),
        "step \(number)")
    }
  }

  @Test("RAM may have holes")
  func holes() {
    var fixture = MSRFixture(guestOSID: 1)
    fixture.context.isPageInRAM = { $0 < 0xA0 || (0x100..<0x200).contains($0) }
    #expect(fixture.write(.hypercall, 0x9_F001) == .done([.hypercallPageEnabled(0x9F)]))
    #expect(fixture.write(.hypercall, 0xA_0001) == .fault)
    #expect(fixture.write(.hypercall, 0xF_F001) == .fault)
    #expect(
      fixture.write(.hypercall, 0x10_0001)
        == .done([.hypercallPageDisabled, .hypercallPageEnabled(0x100)]))
  }

  @Test("each bit of the register value", arguments: 0..<64)
  func bits(bit: Int) {
    let value = OverlayPageMSR(rawValue: 1 << UInt64(bit))
    #expect(value.isEnabled == (bit == 0))
    #expect(value.isLocked == (bit == 1))
    #expect(value.page == (bit >= 12 ? 1 << UInt64(bit - 12) : 0))
    #expect(value.enabledPage == (bit == 0 ? 0 : nil))
  }

  @Test("a copy is independent: the registers are a value")
  func copies() {
    var fixture = MSRFixture(guestOSID: 1)
    let before = fixture
    _ = fixture.write(.hypercall, 0x5001)
    #expect(before.registers.hypercallPage == nil)
    #expect(fixture.registers.hypercallPage == 5)
  }
}
