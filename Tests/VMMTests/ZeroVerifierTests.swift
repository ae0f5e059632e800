import GuestMemory
import HyperVCore
import MachineSpecification
import Synchronization
import Testing
import ZeroTracker

@testable import VMM

/// `--verify-zeroed`: the witness against a writer that nobody knows of.
@Suite(
  .enabled(if: Host.hasKVM, "needs read-write /dev/kvm"), .serialized, .timeLimit(.minutes(10)))
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

/// How often the tracker is asked, and what is found, without a guest: pages are written
/// "meanwhile".
@Suite struct ZeroVerifierCostTests {
  /// Knows of the pages that it is told of.
  private final class Source: WrittenPageSource {
    let pages = Mutex<[UInt64]>([])

    func readWrittenPages(of region: PageRange, into words: inout MutableSpan<UInt64>) throws {
      for page in pages.withLock({ $0 }) where region.contains(GPN(rawValue: page)) {
        let bit = page - region.start.rawValue
        words[Int(bit / 64)] |= 1 << (bit % 64)
      }
    }
    func stop() throws {}
    func forget(_ range: PageRange) -> Bool { false }
  }

  private let guest: GuestMemory
  private let source = Source()
  private static let pageCount: UInt64 = 4096

  init() throws {
    guest = try GuestMemory(
      layout: GuestMemoryLayout(ramByteCount: Self.pageCount << 12),
      granularity: try TrackingGranularity(byteCount: 4096))
    guest.tracker.attach(source: source)
  }

  /// As a guest would: past `GuestMemory`.
  private func write(_ pages: some Sequence<UInt64>, isKnown: Bool = true) {
    let base = guest.mappedRegions[0].hostAddress
    for page in pages {
      unsafe UnsafeMutablePointer<UInt8>(bitPattern: base + UInt(page << 12) + 7)!.pointee = 1
    }
    if isKnown { source.pages.withLock { $0 += pages } }
  }

  private func verify(
    _ ranges: [PageRange], isOver: Bool = false
  ) -> (result: Result<[PageRange], MachineError>, snapshotCount: Int) {
    let count = Atomic(0)
    let verifier = ZeroVerifier(
      guest: guest,
      snapshot: { [guest] in
        count.add(1, ordering: .relaxed)
        return guest.tracker.snapshot()
      }, isOver: { isOver })
    let result = Result { () throws(MachineError) in try verifier.verified(ranges) }
    return (result, count.load(ordering: .relaxed))
  }

  @Test func nothingWrittenNeedsNoLook() {
    let ranges = guest.tracker.zeroedRanges(replyPage: nil)
    #expect(ranges.reduce(0) { $0 + $1.pageCount } == Self.pageCount)
    let (result, snapshotCount) = verify(ranges)
    #expect(result == .success(ranges) && snapshotCount == 0)
  }

  /// Every page written meanwhile, or every other one: one look.
  @Test(arguments: [1, 2, 63]) func oneLookForAllPages(step: Int) {
    let ranges = guest.tracker.zeroedRanges(replyPage: nil)
    write(stride(from: 0, to: Self.pageCount, by: step))
    let (result, snapshotCount) = verify(ranges)
    #expect(result == .success(ranges) && snapshotCount == 1)
  }

  @Test(arguments: [0, 1, 2049, pageCount - 1])
  func oneUnknownPageAmongThousands(hidden: UInt64) {
    // Two ranges, with a hole of their own.
    write([1000])
    let ranges = guest.tracker.zeroedRanges(replyPage: nil)
    #expect(ranges.count == 2)
    write((0..<Self.pageCount).filter { $0 != hidden })
    write([hidden], isKnown: false)
    let (result, snapshotCount) = verify(ranges)
    guard case .failure(.falseReport(let page, _)) = result else {
      Issue.record("\(result)")
      return
    }
    #expect(page == GPN(rawValue: hidden) && snapshotCount == 1)
  }

  /// What the VMM wrote meanwhile is known as well.
  @Test func writesOfDevicesAreKnown() throws {
    let ranges = guest.tracker.zeroedRanges(replyPage: nil)
    try guest.write([1, 2, 3], at: GPA(0x5FFE))
    #expect(verify(ranges).result == .success(ranges))
  }

  @Test func aRunThatEndsGetsNoAnswer() {
    let ranges = guest.tracker.zeroedRanges(replyPage: nil)
    write([7], isKnown: false)
    let (result, snapshotCount) = verify(ranges, isOver: true)
    #expect(result == .success([]) && snapshotCount == 0)
  }

  /// Nobody can say any more who wrote.
  @Test func trackingThatEndedMeanwhileAccusesNobody() throws {
    let ranges = guest.tracker.zeroedRanges(replyPage: nil)
    write([7], isKnown: false)
    try guest.tracker.stop()
    #expect(verify(ranges).result == .success(ranges))
  }
}
