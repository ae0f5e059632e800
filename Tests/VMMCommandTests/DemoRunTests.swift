import GuestMemory
import KVM
import MachineSpecification
import Testing
import ZeroTracker

@testable import VMMCommand

/// The demo guest on a real virtual machine, on every backing and with every number of vCPUs.
@Suite(
  .enabled(if: (try? KVMSystem()) != nil, "needs read-write /dev/kvm"), .serialized,
  .timeLimit(.minutes(10)))
struct DemoRunTests {
  private static let memory = ByteCount.mebi(64)

  private func run(
    offersZeroedMemory: Bool = true, _ configure: (inout PartitionSpec) throws -> Void = { _ in }
  ) throws -> DemoReport {
    var partition = PartitionSpec(memory: Self.memory)
    partition.hyperV.transport = .userspace
    try configure(&partition)
    let run = DemoRun(
      DemoOptions(partition), offersZeroedMemory: offersZeroedMemory, trace: nil)
    return try run.run()
  }

  @Test(arguments: [MemorySpec.Backing.anonymous, .memfd], [false, true])
  func toldTheTruth(backing: MemorySpec.Backing, preallocates: Bool) throws {
    let report = try run {
      $0.memory.backing = backing
      $0.memory.isPreallocated = preallocates
    }
    #expect(report.nonZeroReportedPages == 0)
    // 0x8003 with memory that can be given back.
    #expect(report.capabilities == (preallocates ? 1 : 0x101))
    #expect(report.reportedBytes > Self.memory.bytes * 90 / 100)
    #expect(report.guestZeroedBytes + report.reportedBytes >= Self.memory.bytes * 98 / 100)
    #expect(report.reportedRanges.count <= 255)
    #expect(preallocates == (report.residentBytes == Self.memory.bytes))
  }

  @Test(arguments: 1...4)
  func vcpusShareTheZeroing(count: Int) throws {
    let told = try run { $0.vcpuCount = count }
    let notTold = try run(offersZeroedMemory: false) { $0.vcpuCount = count }
    #expect(told.nonZeroReportedPages == 0)
    #expect(notTold.reportedRanges.isEmpty)
    #expect(notTold.guestZeroedBytes >= Self.memory.bytes * 98 / 100)
    #expect(told.guestZeroedBytes < notTold.guestZeroedBytes / 4)
  }

  @Test(arguments: [ByteCount.kibi(4), .mebi(2), .mebi(32)])
  func everyGranularityIsTruthful(granularity: ByteCount) throws {
    let report = try run {
      $0.tracking.granularity = try TrackingGranularity(byteCount: granularity.bytes)
    }
    #expect(report.nonZeroReportedPages == 0)
    #expect(report.granularityBytes == granularity.bytes)
    // The VMM touches only the first megabytes.
    #expect(report.reportedBytes >= (Self.memory.bytes - granularity.bytes) * 90 / 100)
  }

  /// 16 of its writes are single words, each in a huge page of its own.
  @Test(
    .enabled(if: HugePageTrimmer.obstacle == nil, "needs huge pages, and Linux 6.12"),
    arguments: [nil, WrittenPageSourceKind.dirtyLog])
  func trimmingLeavesWhatIsUsed(source: WrittenPageSourceKind?) throws {
    let reports = try [nil, 10_000].map { milliseconds in
      try run {
        $0.memory.usesTransparentHugePages = true
        $0.tracking.source = source
        $0.tracking.trimMilliseconds = milliseconds
      }
    }
    #expect(reports.allSatisfy { $0.nonZeroReportedPages == 0 })
    #expect(reports[0].reportedBytes == reports[1].reportedBytes)
    #expect(
      reports[1].residentBytes * 3 < reports[0].residentBytes,
      "\(reports.map(\.residentBytes))")
  }

  /// Told or not, the totals are all of memory and the list says the same.
  @Test(arguments: [true, false])
  func everyByteIsExplained(offersZeroedMemory: Bool) throws {
    var options = DemoOptions(PartitionSpec(memory: Self.memory))
    options.partition.hyperV.transport = .userspace
    options.printsJSON = true
    let report = try DemoRun(options, offersZeroedMemory: offersZeroedMemory, trace: nil).run()
    let memory = try #require(report.memory)
    let unreported = try #require(report.unreported)
    #expect(
      memory.reportedBytes + memory.claimedBytes + memory.guestWrittenBytes
        + memory.vmmTouchedBytes + memory.zeroNotReportedBytes == report.memoryBytes)
    #expect(memory.unknownBytes == 0)
    #expect(memory.reportedBytes == report.reportedBytes)
    #expect(memory.vmmTouchedBytes > 0 && memory.guestWrittenBytes > 0)
    #expect(report.unreportedOmitted == 0)
    func sum(_ reason: UnreportedRange.Reason) -> UInt64 {
      unreported.reduce(0) { $0 + ($1.reason == reason ? $1.byteCount : 0) }
    }
    #expect(sum(.touchedByVMM) == memory.vmmTouchedBytes)
    #expect(sum(.writtenByGuest) == memory.guestWrittenBytes)
    #expect(
      sum(offersZeroedMemory ? .notAmongTheLargest : .notAsked) == memory.zeroNotReportedBytes)
    #expect(sum(offersZeroedMemory ? .notAsked : .notAmongTheLargest) == 0)
    #expect(sum(.trackingEnded) == 0)
    #expect(zip(unreported, unreported.dropFirst()).allSatisfy { $0.startPage < $1.startPage })
  }

  @Test func withoutJSONNoExplanationIsMade() throws {
    #expect(try run().memory == nil)
  }

  @Test func stoppingEndsTheRun() throws {
    let run = DemoRun(
      DemoOptions(PartitionSpec(memory: Self.memory)), offersZeroedMemory: true,
      trace: nil)
    run.stop()
    #expect(throws: DemoFailure.self) { try run.run() }
  }

  @Test func ticksAreReadBehindTheName() {
    let line = "12 (a b) c) R 1 2 3 4 5 6 7 8 9 10 111 222 0 0 20 0"
    #expect(ThreadTicks.parse(line) == DemoReport.VCPUTicks(user: 111, system: 222))
    #expect(ThreadTicks.parse("12 (short) R 1") == nil)
  }
}
