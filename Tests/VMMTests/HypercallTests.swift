import GuestMemory
import HyperVCore
import Testing
import VMM
import ZeroTracker

/// Hypercalls from a guest, good and hostile, on every transport this host has.
@Suite(
  .enabled(if: Host.hasKVM, "needs read-write /dev/kvm"), .serialized, .timeLimit(.minutes(10)))
struct HypercallTests {
  @Test(arguments: Host.transports)
  func capabilitiesAreAnsweredInBothConventions(transport: HyperVTransport) throws {
    let probe = try Probe(
      Probe.introduction + [
        .hypercall(0x8001, out: Probe.reply), .hypercall32(0x8001, out: Probe.reply + 8),
      ], transport: transport)
    #expect(probe.outcome.exitStatus == 0)
    #expect(probe.steps.map(\.fault) == [nil, nil, nil, nil])
    #expect(probe.steps[2].result == 0)
    #expect(probe.steps[3].result == 0)
    #expect(try probe.machine.memory.load(at: GPA(Probe.reply), as: UInt64.self) == 0x101)
    #expect(try probe.machine.memory.load(at: GPA(Probe.reply + 8), as: UInt64.self) == 0x101)
  }

  @Test(arguments: Host.transports)
  func reportedPagesAreZeroAndMostPagesAreReported(transport: HyperVTransport) throws {
    let written: UInt64 = 0x123_4000
    let touched: UInt64 = 0x234_5000
    let probe = try Probe(
      Probe.introduction + [
        .store(0xAB, at: written), .hypercall(0x8002, out: Probe.reply),
      ], transport: transport
    ) { _ in
    } prepare: {
      try $0.store(UInt64(1), at: GPA(touched))
    }
    #expect(probe.outcome.exitStatus == 0)
    #expect(probe.steps[3].result == 0)
    let ranges = try probe.bootZeroedReply()
    #expect(try probe.nonZeroPages(in: ranges) == [])
    let pages = ranges.reduce(0) { $0 + $1.pageCount }
    #expect(pages * 4096 >= Probe.memoryByteCount * 97 / 100, "\(pages) pages reported")
    for address in [written, touched, Probe.reply, Probe.hypercallPage, 0x10_0000] {
      let page = address >> 12
      #expect(
        !ranges.contains { $0.startPage <= page && page < $0.startPage + $0.pageCount },
        "page of \(String(address, radix: 16)) is reported")
    }
    #expect(ranges == ranges.sorted { $0.pageCount > $1.pageCount })
  }

  /// Input value, output GPA, and the status that both transports give.
  static let hostile: [(name: String, input: UInt64, out: UInt64, status: UInt64)] = [
    ("fast", 0x1_8002, Probe.reply, 5),
    ("rep count", 0x1_0000_8002 | 1 << 32, Probe.reply, 3),
    ("rep start", 0x8002 | 1 << 48, Probe.reply, 3),
    ("variable header", 0x8002 | 1 << 17, Probe.reply, 3),
    ("reserved bit 27", 0x8002 | 1 << 27, Probe.reply, 3),
    ("reserved bit 63", 0x8002 | 1 << 63, Probe.reply, 3),
    ("misaligned", 0x8002, Probe.reply + 4, 4),
    ("offset 16 crosses the page", 0x8002, Probe.reply + 16, 4),
    ("MMIO hole", 0x8002, 0xF000_0000, 4),
    ("past RAM", 0x8002, Probe.memoryByteCount, 4),
    ("top of 64 bits", 0x8002, 0xFFFF_FFFF_FFFF_F000, 4),
    ("last qword of 64 bits", 0x8001, 0xFFFF_FFFF_FFFF_FFF8, 4),
    ("0x8003 without a list", 0x8003, Probe.reply, 3),
    ("0x8004 is not offered", 0x8004, Probe.reply, 2),
    ("0x8041 is not offered", 0x8041, Probe.reply, 2),
  ]

  @Test(arguments: Host.transports)
  func hostileCallsGetTheirStatusAndChangeNothing(transport: HyperVTransport) throws {
    let probe = try Probe(
      Probe.introduction + Self.hostile.map { .hypercall($0.input, out: $0.out) },
      transport: transport)
    #expect(probe.outcome.exitStatus == 0)
    for (row, step) in zip(Self.hostile, probe.steps.dropFirst(2)) {
      #expect(step.fault == nil, "\(row.name)")
      #expect(step.result == row.status, "\(row.name)")
    }
    let reply = try probe.machine.memory.read(at: GPA(Probe.reply), byteCount: 4096)
    #expect(reply.allSatisfy { $0 == 0 }, "a failed call wrote its output")
    #expect(probe.machine.memory.tracker.isTracking, "a failed call ended tracking")
  }

  @Test(arguments: Host.transports)
  func offsetEightIsLegal(transport: HyperVTransport) throws {
    let probe = try Probe(
      Probe.introduction + [.hypercall(0x8002, in: ~0, out: Probe.reply + 8)],
      transport: transport)
    #expect(probe.steps[2].result == 0)
    let ranges = try probe.bootZeroedReply(at: Probe.reply + 8)
    #expect(!ranges.isEmpty)
    #expect(try probe.nonZeroPages(in: ranges) == [])
  }

  @Test(arguments: Host.transports)
  func withoutTheFeatureTheCallIsUnknown(transport: HyperVTransport) throws {
    let probe = try Probe(
      Probe.introduction + [
        .hypercall(0x8001, out: Probe.reply), .hypercall(0x8002, out: Probe.reply + 0x1000),
      ], transport: transport
    ) {
      $0.offersZeroedMemory = false
    }
    #expect(probe.steps[2].result == 0)
    #expect(try probe.machine.memory.load(at: GPA(Probe.reply), as: UInt64.self) == 0x100)
    #expect(probe.steps[3].result == 2)
  }

  /// Windows sends 0x8001 even where nothing advertises it.
  @Test(arguments: Host.transports)
  func unadvertisedCallsAreRefused(transport: HyperVTransport) throws {
    let probe = try Probe(
      Probe.introduction + [.hypercall(0x8001, out: Probe.reply)], transport: transport
    ) {
      $0.enlightenments = .exactly([.vpIndex, .relaxedTiming])
    }
    #expect(probe.outcome.exitStatus == 0)
    // KVM itself answers there: HV_STATUS_ACCESS_DENIED under KVM_CAP_HYPERV_ENFORCE_CPUID.
    #expect(probe.steps[2].result == (transport == .kernel ? 6 : 2))
  }

  @Test(arguments: Host.transports)
  func ringThreeGetsInvalidOpcode(transport: HyperVTransport) throws {
    let probe = try Probe(
      Probe.introduction + [.ringThreeHypercall(0x8001, out: Probe.reply)], transport: transport)
    // Where a guest's ring-3 fault cannot be delivered the guest stops itself, and only itself.
    if let status = probe.outcome.exitStatus {
      #expect(status == 0)
      #expect(probe.steps[2].fault == 6)
    } else {
      guard case .tripleFault = probe.outcome else {
        Issue.record("unexpected end: \(probe.outcome)")
        return
      }
    }
    #expect(probe.events.isEmpty)
  }
}
