import GuestMemory
import HyperVCore
import Testing
import VMM

/// The MSRs and the hypercall page that this process implements.
@Suite(
  .enabled(if: Host.hasKVM, "needs read-write /dev/kvm"), .serialized, .timeLimit(.minutes(10)))
struct UserspaceInterfaceTests {
  private static let invalidOpcode: UInt64 = 6
  private static let generalProtection: UInt64 = 13

  @Test func leavesNameHyperV() throws {
    let probe = try Probe(
      [.cpuid(0x4000_0000), .cpuid(0x4000_0001), .cpuid(0x4000_0003)], transport: .userspace)
    #expect(probe.steps[0].result >> 32 == 0x7263_694D)  // "Micr"
    #expect(probe.steps[1].result & 0xFFFF_FFFF == 0x3123_7648)  // "Hv#1"
    #expect(probe.steps[2].result >> 32 & (1 << 20) != 0)
  }

  /// Where KVM's own interface is asked for: its signature and features, and not one register of
  /// Hyper-V's.
  @Test func anotherInterfaceLeavesNothingOfIt() throws {
    let probe = try Probe(
      [.cpuid(0x4000_0000), .cpuid(0x4000_0001), .readMSR(0x4000_0000), .readMSR(0x4000_0020)],
      transport: .none)
    #expect(probe.outcome.exitStatus == 0)
    #expect(probe.steps[0].result == 0x4B4D_564B_4000_0001)  // "KVMK", and the last leaf
    // The clock in its two forms.
    #expect(probe.steps[1].result & 0b1001 == 0b1001)
    #expect(probe.steps.map(\.fault) == [nil, nil, Self.generalProtection, Self.generalProtection])
    #expect(probe.machine.enlightenments == [])
  }

  @Test func registersReadAndFaultAsSpecified() throws {
    let steps: [(step: ProbeStep, fault: UInt64?)] = [
      (.readMSR(0x4000_0002), nil),
      (.writeMSR(0x4000_0002, 0), Self.generalProtection),
      (.readMSR(0x4000_0020), nil),
      (.readMSR(0x4000_0020), nil),
      (.writeMSR(0x4000_0020, 1), Self.generalProtection),
      (.readMSR(0x4000_0022), nil),
      (.readMSR(0x4000_0119), Self.generalProtection),
      (.writeMSR(0x4000_0119, 1), Self.generalProtection),
      // The page must be RAM.
      (.writeMSR(0x4000_0000, 0x8100 << 48), nil),
      (.writeMSR(0x4000_0001, Probe.memoryByteCount | 1), Self.generalProtection),
      (.writeMSR(0x4000_0021, 0x50_0001), nil),
    ]
    let probe = try Probe(steps.map(\.step), transport: .userspace)
    #expect(probe.outcome.exitStatus == 0)
    #expect(probe.steps.map(\.fault) == steps.map(\.fault))
    #expect(probe.steps[0].result == 0)
    #expect(probe.steps[3].result >= probe.steps[2].result)
    #expect(probe.steps[5].result > 10_000_000)
    let sequence: UInt32 = try probe.machine.memory.load(at: GPA(0x50_0000))
    let scale: UInt64 = try probe.machine.memory.load(at: GPA(0x50_0008))
    #expect(sequence != 0)
    #expect(scale != 0)
  }

  @Test func theAssistPageWaivesNoInterruptsEnd() throws {
    let page: UInt64 = 0x50_0000
    let probe = try Probe(
      [
        .store(0xFF, at: page), .store(0xFF, at: page + 3), .store(0xFF, at: page + 4),
        .writeMSR(0x4000_0073, page | 1), .readMSR(0x4000_0073),
        .writeMSR(0x4000_0073, 0xFEE0_0001),
      ], transport: .userspace)
    #expect(probe.outcome.exitStatus == 0)
    #expect(probe.steps.map(\.fault) == [nil, nil, nil, nil, nil, Self.generalProtection])
    #expect(probe.steps[4].result == page | 1)
    #expect(try probe.machine.memory.load(at: GPA(page), as: UInt64.self) == 0xFF_0000_0000)
  }

  @Test func callsFromOutsideThePageGetInvalidOpcode() throws {
    let probe = try Probe(
      [.foreignHypercall(0x8001, out: Probe.reply)] + Probe.introduction + [
        .foreignHypercall(0x8001, out: Probe.reply),
        .hypercall(0x8001, out: Probe.reply),
      ], transport: .userspace)
    #expect(probe.outcome.exitStatus == 0)
    #expect(
      probe.steps.map(\.fault) == [Self.invalidOpcode, nil, nil, Self.invalidOpcode, nil])
    #expect(probe.steps[4].result == 0)
    #expect(probe.events.count == 1)
  }

  @Test func aDisabledPageIsNoHypercallPage() throws {
    let probe = try Probe(
      Probe.introduction + [
        .writeMSR(0x4000_0001, Probe.hypercallPage), .hypercall(0x8001, out: Probe.reply),
      ], transport: .userspace)
    #expect(probe.steps[3].fault == Self.invalidOpcode)
    #expect(probe.events.isEmpty)
  }

  @Test func clearingTheGuestIdentityDisablesThePage() throws {
    let probe = try Probe(
      Probe.introduction + [
        .writeMSR(0x4000_0000, 0), .readMSR(0x4000_0001),
        .hypercall(0x8001, out: Probe.reply),
      ], transport: .userspace)
    #expect(probe.steps[3].result & 1 == 0)
    #expect(probe.steps[4].fault == Self.invalidOpcode)
  }

  @Test func crashAndResetEndTheRun() throws {
    let crash = try Probe(
      [.writeMSR(0x4000_0100, 0xDEAD), .writeMSR(0x4000_0105, 1 << 63)], transport: .userspace)
    guard case .crashed(let guestCrash) = crash.outcome else {
      Issue.record("unexpected end: \(crash.outcome)")
      return
    }
    #expect(guestCrash.report.parameters[0] == 0xDEAD)
    let reset = try Probe([.writeMSR(0x4000_0003, 1)], transport: .userspace)
    guard case .reset = reset.outcome else {
      Issue.record("unexpected end: \(reset.outcome)")
      return
    }
  }
}
