import Glibc
import MachineSpecification
import Testing
import VMM

/// Writers of both sides against callers of 0x8002: the concurrency proof, and a proof of the
/// proof.
@Suite(
  .enabled(if: Host.hasKVM, "needs read-write /dev/kvm"),
  .disabled(if: Storm.isUnderThreadSanitizer, "races for bytes of guest memory, as guests do"),
  .serialized, .timeLimit(.minutes(10)))
struct StormTests {
  /// How many answers are checked: 100 000, unless the environment's STORM_CALLS says otherwise.
  static let callCount: Int = {
    // SAFETY: nobody changes the environment.
    guard let text = unsafe getenv("STORM_CALLS") else { return 100_000 }
    return unsafe Int(String(cString: text)) ?? 100_000
  }()

  /// Those that are told by the kernel what the guest wrote, and the one that looks.
  private static let sources = Host.sources.filter { $0 != .writeProtect }

  @Test(arguments: Host.transports, sources)
  func noAnswerNamesAPageThatWasWrittenBefore(
    transport: HyperVTransport, source: WrittenPageSourceKind
  ) throws {
    let storm = try Storm(
      transport: transport, source: source, ways: [.store, .write, .fill, .lent],
      seed: 0x5EED_0001)
    // Each of its answers reads memory.
    let callCount = source == .populated ? Self.callCount / 4 : Self.callCount
    #expect(storm.run(checkedAnswers: callCount) == nil)
    let counts = storm.checker.counts
    print("storm, \(transport), \(source): \(counts)")
    #expect(storm.checker.violations == [], "seed \(storm.seed), \(counts)")
    #expect(counts.violations.count == 0)

    // It was a storm.
    let answers = counts.answers.count
    #expect(counts.checked.count >= callCount, "\(counts)")
    #expect(counts.afterWrites.count * 2 > answers, "\(counts)")
    #expect(counts.nonEmpty.count * 2 > answers, "\(counts)")
    #expect(counts.changed.count * 2 > answers, "\(counts)")
    #expect(counts.reportedPages.count > answers * 64, "\(counts)")
    #expect(counts.recycledRanges.count > answers, "\(counts)")
    #expect(counts.guestWrites.count * 2 > answers, "\(counts)")
    #expect(counts.hostWrites.count * 2 > answers, "\(counts)")
    #expect(counts.discards.count * 128 > answers, "\(counts)")
  }

  /// The checker can fail: a writer that marks after it wrote is found out.
  @Test(arguments: Host.transports)
  func aWriterThatMarksLateIsFound(transport: HyperVTransport) throws {
    let storm = try Storm(
      transport: transport, source: .dirtyLog, ways: [.markingLast], seed: 0x5EED_0002)
    #expect(storm.run(checkedAnswers: Self.callCount, untilViolation: true) == nil)
    print("late marks, \(transport): \(storm.checker.counts)")
    #expect(storm.checker.counts.violations.count > 0, "\(storm.checker.counts)")
  }

  /// Who looks at memory is not deceived by it: the bytes were there before the call.
  @Test(
    .enabled(if: Host.sources.contains(.populated), "needs PAGEMAP_SCAN"),
    arguments: Host.transports)
  func aWriterThatMarksLateIsSeenByLooking(transport: HyperVTransport) throws {
    let storm = try Storm(
      transport: transport, source: .populated, ways: [.markingLast, .store], seed: 0x5EED_0003)
    #expect(storm.run(checkedAnswers: Self.callCount / 4) == nil)
    print("late marks, \(transport), populated: \(storm.checker.counts)")
    #expect(storm.checker.violations == [], "seed \(storm.seed), \(storm.checker.counts)")
    #expect(storm.checker.counts.afterWrites.count > 0)
    #expect(storm.checker.counts.hostWrites.count > 0)
  }
}
