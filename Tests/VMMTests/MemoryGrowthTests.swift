import GuestMemory
import HostSystem
import HyperVCore
import MachineSpecification
import TestSupport
import Testing
import VMM
import ZeroTracker

/// Memory that is added to a guest that runs.
@Suite(
  .enabled(if: Host.hasKVM, "needs read-write /dev/kvm"), .serialized, .timeLimit(.minutes(10)))
struct MemoryGrowthTests {
  private static let unit = GuestMemoryLayout.growthUnit
  private static let start: UInt64 = 0x1_0000_0000
  private static let pageCount = 2 * unit / 4096

  /// Adds memory on another thread: a vCPU's own may not.
  private final class Grower: Sendable {
    private let wanted = TestSemaphore()
    private let done = TestSemaphore()
    private let byteCounts = Guarded<[UInt64]>([])

    /// Its thread waits for so many orders.
    func take(_ machine: Machine, orderCount: Int) {
      TestThreads.start { [self] in
        for _ in 0..<orderCount {
          wanted.wait()
          let byteCount = byteCounts.withLock { $0.removeFirst() }
          #expect(throws: Never.self) { _ = try machine.addMemory(byteCount: byteCount) }
          done.signal()
        }
      }
    }

    func grow(by byteCount: UInt64) {
      byteCounts.withLock { $0.append(byteCount) }
      wanted.signal()
      done.wait()
    }
  }

  private static let question = ProbeStep.hypercall(0x8001, out: Probe.reply + 0x8000)

  private static func question(_ number: UInt64) -> ProbeStep {
    .hypercall(0x8002, out: Probe.reply + number * 0x1000)
  }

  /// The guest asks, is given 256 MiB, asks, writes into both pieces, and asks again; then the VMM
  /// writes, and it asks once more.
  @Test(arguments: Host.transports, [MemoryBacking.anonymous, .memfd])
  func whatIsAddedIsTrackedFromItsFirstPage(
    transport: HyperVTransport, backing: MemoryBacking
  ) throws {
    for source in Host.sources {
      let grower = Grower()
      let asked = Guarded(0)
      let memory = Guarded<GuestMemory?>(nil)
      let device = GPA(Self.start + Self.unit + 0x70_0000)
      let probe = try Probe(
        Probe.introduction
          + [
            .store(1, at: Self.start), Self.question(0), Self.question, Self.question(1),
            .store(0xAB, at: Self.start + 0x1000, count: 300, stride: 0x8000),
            .store(0xCD, at: Self.start + 2 * Self.unit - 8), Self.question(2),
            .hypercall(0x8001, out: Self.start + 0x60_0000), Self.question(3),
            .load(at: Self.start + 0x1000, count: 300, stride: 0x8000),
          ], transport: transport
      ) {
        $0.growthByteCount = 4 * Self.unit
        $0.backing = backing
        $0.writtenPageSource = source
        $0.trackingPolicy = .always
        $0.granularity = try! TrackingGranularity(byteCount: 4096)
      } prepare: {
        guest in
        memory.withLock { $0 = guest }
      } onMade: {
        grower.take($0, orderCount: 2)
      } onHypercall: { event in
        guard event.outcome.code == .extendedQueryCapabilities else { return }
        let count = asked.withLock { count in
          count += 1
          return count
        }
        if count == 1 {
          for _ in 0..<2 { grower.grow(by: Self.unit) }
        } else {
          try? memory.withLock { $0 }?.store(0xEF as UInt8, at: device)
        }
      }
      #expect(probe.outcome.exitStatus == 0, "\(source)")
      // Before, nothing is there: what is written comes to nothing.
      let all = Self.start >> 12..<(Self.start >> 12) + 4 * Self.unit / 4096
      func reported(_ number: UInt64) throws -> UInt64 {
        try probe.bootZeroedReply(at: Probe.reply + number * 0x1000).reduce(0) { sum, range in
          sum
            + UInt64((range.startPage..<range.startPage + range.pageCount).clamped(to: all).count)
        }
      }
      #expect(try reported(0) == 0, "\(source)")
      #expect(try reported(1) == Self.pageCount, "\(source)")
      // An answer has 255 ranges at most: 301 pages were written, 32 KiB apart, then one.
      let answer = probe.machine.memory.tracker.zeroedRanges(replyPage: nil, limit: .max)
      let left = answer.reduce(0 as UInt64) { sum, range in
        sum + UInt64(range.pageNumbers.clamped(to: all).count)
      }
      // The page of an answer, and what the device wrote.
      #expect(left == Self.pageCount - 303, "\(source)")
      for number in [2, 3] as [UInt64] {
        let found = try reported(number)
        #expect(found * 100 >= Self.pageCount * 95 && found <= Self.pageCount - 301, "\(source)")
      }
      let last = try probe.bootZeroedReply(at: Probe.reply + 0x3000)
      #expect(try probe.nonZeroPages(in: last) == [], "\(source)")
      #expect(probe.machine.memory.ramByteCount == Probe.memoryByteCount + 2 * Self.unit)
      // To read a page of a shared file allocates it.
      if backing == .anonymous {
        #expect(try probe.machine.memory.residentByteCount() < Self.unit)
      }
    }
  }

  @Test func withoutTrackingItStaysWithheld() throws {
    let grower = Grower()
    let probe = try Probe(
      Probe.introduction
        + [
          Self.question(0), Self.question, Self.question(1), .store(0xAB, at: Self.start),
          .load(at: Self.start, count: 1, stride: 8),
        ], transport: .userspace
    ) {
      $0.growthByteCount = Self.unit
      // Others than a log have no end.
      $0.writtenPageSource = .dirtyLog
      $0.trackingPolicy = .untilAnswered(seconds: 0)
    } onMade: {
      grower.take($0, orderCount: 1)
    } onHypercall: { event in
      if event.outcome.code == .extendedQueryCapabilities { grower.grow(by: Self.unit) }
    }
    #expect(probe.outcome.exitStatus == 0)
    #expect(try probe.bootZeroedReply(at: Probe.reply) != [])
    #expect(try probe.bootZeroedReply(at: Probe.reply + 0x1000) == [])
    #expect(try probe.machine.memory.load(at: GPA(Self.start), as: UInt64.self) == 0xAB)
  }

  @Test func refusals() throws {
    func machine(_ change: (inout MachineConfiguration) -> Void) throws -> Machine {
      var configuration = MachineConfiguration(program: [0xF4], memoryByteCount: 16 << 20)
      configuration.growthByteCount = 2 * Self.unit
      change(&configuration)
      return try Machine(configuration, control: MachineControl())
    }
    #expect(throws: MachineError.self) { try machine { $0.isPreallocated = true } }
    #expect(throws: MachineError.self) { try machine { $0.backing = .hugetlb } }
    #expect(throws: MachineError.self) { try machine { $0.growthByteCount = 1 << 20 } }
    // More than a processor addresses would be needed first.
    #expect(throws: MachineError.self) { try machine { $0.growthByteCount = 8 << 40 } }
    let made = try machine { _ in }
    for byteCount in [0, 4096, 3 * Self.unit] {
      #expect(throws: MachineError.self) { try made.addMemory(byteCount: byteCount) }
    }
    #expect(try made.addMemory(byteCount: 2 * Self.unit) == GPA(Self.start))
    #expect(throws: MachineError.self) { try made.addMemory(byteCount: Self.unit) }
  }
}
