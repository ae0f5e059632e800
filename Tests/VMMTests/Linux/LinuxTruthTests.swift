import Foundation
import GuestMemory
import MachineSpecification
import Synchronization
import Testing
import VMM
import ZeroTracker

/// What the tracker would say when a stock Linux reaches user space, against every byte of it.
///
/// The guest is not asked and knows nothing of it: it sleeps meanwhile.
@Suite(
  .enabled(
    if: UserSpaceGuest.given != nil && Host.hasKernelTransport,
    "needs LINUX_KERNEL, LINUX_INITRD and a KVM with hardware virtualisation"),
  .serialized, .timeLimit(.minutes(10)))
struct LinuxTruthTests {
  struct Case: CustomTestStringConvertible, Sendable {
    var source: WrittenPageSourceKind
    var granularityByteCount: UInt64 = 64 << 10

    var testDescription: String {
      "\(source.rawValue), \(granularityByteCount >> 10) KiB"
    }
  }

  /// Each is a boot of 20 seconds in the rig.
  static let cases =
    Host.sources.map { Case(source: $0) }
    + [4 << 10, 2 << 20].map {
      Case(source: .dirtyLog, granularityByteCount: $0)
    }

  /// What a sleeping guest may write between an answer and its check: timers, the console. A source
  /// that is late would show as far more.
  private static let maximumLaterPageCount = 256

  /// Far more than a boot takes in the rig.
  private static let patienceSeconds = 150

  /// One vCPU: with two the whole rig stood still in both runs of 29 November 2026 (QEMU
  /// 10.0.2 with all of its processor's time, and nothing of its kernel was heard any more).
  @Test(arguments: cases)
  func everyPageReportedIsZero(_ test: Case) throws {
    let guest = try #require(UserSpaceGuest.given)
    let watch = SerialWatch(for: UserSpaceGuest.marker)
    var configuration = MachineConfiguration.confined(
      try guest.image(), memoryByteCount: 512 << 20)
    configuration.hyperV = .kernel
    configuration.trackingPolicy = .always
    configuration.writtenPageSource = test.source
    configuration.granularity = try TrackingGranularity(byteCount: test.granularityByteCount)
    configuration.computer.serialOutput = { watch.take($0) }
    let control = MachineControl()
    let machine = try Machine(configuration, control: control)
    let outcome = Mutex<MachineOutcome?>(nil)
    let end = DispatchSemaphore(value: 0)
    Thread.detachNewThread {
      let ended = machine.run()
      outcome.withLock { $0 = ended }
      watch.giveUp()
      end.signal()
    }
    let isReached = watch.wait(seconds: Self.patienceSeconds)
    if isReached {
      // The line is out, the sleep not yet begun: the guest writes still.
      sleep(1)
      let coarse = check(machine.memory)
      machine.memory.refine(GuestMemory.RefinementBudget(readByteCount: 512 << 20))
      let refined = check(machine.memory)
      print("\(test.testDescription): reported \(coarse), refined \(refined)")
    } else {
      print("\(test.testDescription): no user space after \(Self.patienceSeconds) s: \(watch.tail)")
      for processor in try machine.status(waitingSeconds: 10).processors { print(processor) }
    }
    control.end(with: .stopped)
    end.wait()
    let ended = outcome.withLock { "\($0, default: "none")" }
    #expect(isReached && ended == "stopped", "\(ended): \(watch.tail)")
  }

  /// Asks the tracker and looks at each page of its answer, by `GuestMemory`'s check and by memcmp.
  /// Returns the share that is reported.
  private func check(_ memory: GuestMemory) -> String {
    let ranges = memory.tracker.zeroedRanges(replyPage: nil, limit: .max)
    var found = ranges.flatMap { nonZeroPages(of: memory, in: $0) }
    let byPresence = ranges.flatMap { range -> [GPN] in
      var pages: [GPN] = []
      var rest = range
      do {
        while let page = try memory.firstNonZeroPage(in: rest) {
          pages.append(page)
          rest = PageRange(start: page.advanced(by: 1), end: range.end)
        }
      } catch {
        Issue.record("\(rest): \(error)")
      }
      return pages
    }
    found += byPresence
    // The guest runs: what the tracker knows by now was written after its answer.
    let later = memory.tracker.snapshot()
    for page in found {
      let counts = later.counts(in: PageRange(start: page, pageCount: 1))
      #expect(
        counts.touched + counts.written > 0,
        "\(page) is not zero but reported: \(later.whyWithheld(page))")
    }
    #expect(found.count <= Self.maximumLaterPageCount)
    let pageCount = ranges.reduce(0) { $0 + $1.pageCount }
    let ramPageCount = memory.layout.ramByteCount / 4096
    // Linux has most of 512 MiB left then.
    #expect(pageCount > ramPageCount / 3)
    let perMille = pageCount * 1000 / ramPageCount
    return "\(perMille / 10).\(perMille % 10) % in \(ranges.count) ranges"
      + " (\(found.count) pages written meanwhile)"
  }

  private func nonZeroPages(of memory: GuestMemory, in range: PageRange) -> [GPN] {
    let zero = [UInt8](repeating: 0, count: 4096)
    return (range.start.rawValue..<range.end.rawValue).compactMap { page in
      let isZero = memory.withBytes(at: GPA(page << 12), byteCount: 4096) { bytes in
        unsafe bytes.withUnsafeBytes { page in
          unsafe zero.withUnsafeBytes {
            unsafe memcmp(page.baseAddress!, $0.baseAddress!, 4096) == 0
          }
        }
      }
      return isZero == true ? nil : GPN(rawValue: page)
    }
  }
}
