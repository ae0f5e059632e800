import GuestMemory
import HyperVCore
import Testing
import VMM
import ZeroTracker

/// `--verify-zeroed`: the witness against a writer that nobody knows of.
@Suite(
  .enabled(if: Host.hasKVM, "needs read-write /dev/kvm"), .serialized, .timeLimit(.minutes(5)))
struct ZeroVerifierTests {
  private static let hidden: UInt64 = 0x123_4000

  private func probe(
    _ transport: HyperVTransport, _ backing: MemoryBacking = .anonymous,
    _ source: WrittenPageSourceKind = .dirtyLog, writesPastEverybody: Bool
  ) throws -> Probe {
    try Probe(
      Probe.introduction + [
        .store(1, at: 0x200_0000), .hypercall(0x8002, out: Probe.reply),
      ], transport: transport
    ) {
      $0.verifiesZeroedMemory = true
      $0.writtenPageSource = source
      $0.backing = backing
    } prepare: { guest in
      if writesPastEverybody {
        let address = guest.mappedRegions[0].hostAddress + UInt(Self.hidden) + 4095
        unsafe UnsafeMutablePointer<UInt8>(bitPattern: address)!.pointee = 1
      }
    }
  }

  @Test(arguments: Host.transports, Host.sources)
  func theTruthPasses(transport: HyperVTransport, source: WrittenPageSourceKind) throws {
    for backing in [MemoryBacking.anonymous, .memfd] {
      let probe = try probe(transport, backing, source, writesPastEverybody: false)
      #expect(probe.outcome.exitStatus == 0)
      let pages = try probe.bootZeroedReply().reduce(0) { $0 + $1.pageCount }
      #expect(pages * 4096 >= Probe.memoryByteCount * 97 / 100, "\(pages) pages reported")
      // Looking made nothing resident: the guest has a few pages, and its tables.
      #expect(try probe.machine.memory.residentByteCount() < 4 << 20 + 2 << 20 * 4)
    }
  }

  @Test(arguments: Host.transports, [MemoryBacking.anonymous, .memfd])
  func anUnknownWriterEndsTheRun(transport: HyperVTransport, backing: MemoryBacking) throws {
    let probe = try probe(transport, backing, writesPastEverybody: true)
    guard case .failed(.falseReport(let page, let history)) = probe.outcome else {
      Issue.record("unexpected end: \(probe.outcome)")
      return
    }
    #expect(page == GPN(rawValue: Self.hidden >> 12))
    #expect(
      history.contains("its chunk 0x1230..<0x1240: not touched by the VMM, 0 of 16 pages"),
      "\(history)")
    // Nothing of the false answer reached the guest.
    #expect(try probe.bootZeroedReply() == [])
  }

  @Test(
    .enabled(if: Host.sources.contains(.writeProtect), "needs userfaultfd write protection"),
    arguments: Host.transports)
  func writeProtectionSeesThatWriter(transport: HyperVTransport) throws {
    let probe = try probe(transport, .anonymous, .writeProtect, writesPastEverybody: true)
    #expect(probe.outcome.exitStatus == 0)
    let ranges = try probe.bootZeroedReply()
    #expect(try probe.nonZeroPages(in: ranges) == [])
    let page = Self.hidden >> 12
    #expect(!ranges.contains { $0.startPage <= page && page < $0.startPage + $0.pageCount })
  }
}
