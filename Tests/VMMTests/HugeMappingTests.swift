import MachineSpecification
import Testing
import VMM

/// While tracking is on KVM maps by small pages; when it ends, huge mappings come back.
@Suite(
  .enabled(if: Host.hasKVM, "needs read-write /dev/kvm"), .serialized, .timeLimit(.minutes(10)))
struct HugeMappingTests {
  /// 32 MiB from 16 MiB on, one load a page.
  private static let reads = ProbeStep.load(at: 16 << 20, count: 8192, stride: 4096)
  private static let hugePageCount: UInt64 = 16

  /// A KVM that shadows the guest's page tables may have no huge mappings at all.
  static let hasHugeMappings: Bool = {
    guard Host.hasKVM, let probe = try? run(.never, nil) else { return false }
    return (try? probe.machine.kvmStatistics()["pages_2m"] ?? 0) ?? 0 >= hugePageCount
  }()

  private static func run(
    _ policy: TrackingPolicy, _ source: WrittenPageSourceKind?
  ) throws -> Probe {
    try Probe(
      Probe.introduction + [
        reads, .hypercall(0x8002, out: Probe.reply),
        // The end of logging drops what was mapped: read on, as a guest would.
        reads, reads,
      ], transport: Host.transports.last!
    ) {
      $0.trackingPolicy = policy
      $0.writtenPageSource = source
      $0.usesTransparentHugePages = true
      $0.isPreallocated = true
    }
  }

  @Test(
    .enabled(if: hasHugeMappings, "this KVM makes no huge mappings, or the host gives none"),
    arguments: Host.sources)
  func theEndOfTrackingGivesThemBack(source: WrittenPageSourceKind) throws {
    let probe = try Self.run(.untilAnswered(seconds: 0), source)
    #expect(probe.outcome.exitStatus == 0)
    #expect(try probe.machine.kvmStatistics()["pages_2m"] ?? 0 >= Self.hugePageCount)
  }

  @Test(.enabled(if: hasHugeMappings, "this KVM makes no huge mappings, or the host gives none"))
  func theDirtyLogTakesThemAway() throws {
    let probe = try Self.run(.always, .dirtyLog)
    #expect(probe.outcome.exitStatus == 0)
    let statistics = try probe.machine.kvmStatistics()
    #expect(statistics["pages_4k"] ?? 0 >= 8192, "\(statistics)")
  }
}
