import Glibc
import GuestMemory
import MachineSpecification
import Testing
import VMM

/// Writers of all kinds against trimming: no write is lost, and a proof that one would be seen.
@Suite(
  .enabled(if: Host.hasKVM, "needs read-write /dev/kvm"),
  .enabled(if: HugePageTrimmer.obstacle == nil, "needs huge pages, and Linux 6.12"),
  .disabled(if: Storm.isUnderThreadSanitizer, "races for bytes of guest memory, as guests do"),
  .serialized, .timeLimit(.minutes(10)))
struct TrimStormTests {
  /// How many huge pages are taken apart: 200, or fewer where it takes long, unless the
  /// environment's TRIM_SPLITS says otherwise.
  private static let splitCount: Int = {
    // SAFETY: nobody changes the environment.
    let text = unsafe getenv("TRIM_SPLITS").map { unsafe String(cString: $0) }
    let isInRig = unsafe getenv("RIG") != nil
    return text.flatMap { Int($0) } ?? (isInRig ? 20 : 200)
  }()

  @Test(arguments: Host.sources.filter { $0 != .writeProtect })
  func noWriteIsLost(source: WrittenPageSourceKind) throws {
    let storm = try TrimStorm(.trimmer, source: source)
    let (failure, counts) = storm.run(passes: UInt64(Self.splitCount), splits: Self.splitCount)
    print("trimming, \(source): \(counts)")
    #expect(failure == nil)
    #expect(counts.lost == [0, 0, 0, 0])
    // It was a storm.
    #expect(counts.splits >= Self.splitCount, "\(counts)")
    #expect(counts.passes.allSatisfy { $0 >= UInt64(Self.splitCount) }, "\(counts)")
    // Of a huge page 384 pages are nobody's; the others may come back while they are counted.
    #expect(counts.givenBack >= UInt64(counts.splits) * 384 * 4096, "\(counts)")
  }

  /// The test can fail.
  @Test func whoReadsAndThenDiscardsIsFound() throws {
    let storm = try TrimStorm(.readThenDiscard, source: .dirtyLog)
    let (failure, counts) = storm.run(passes: .max, splits: .max, untilLoss: true)
    print("reading, then discarding: \(counts)")
    #expect(failure == nil)
    #expect(counts.lost.contains { $0 > 0 }, "\(counts)")
  }
}
