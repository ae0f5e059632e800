import GuestMemory
import HyperVCore
import MachineSpecification
import Synchronization
import Testing
import VMM
import ZeroTracker

/// When tracking ends, and what the guest is told then.
@Suite(
  .enabled(if: Host.hasKVM, "needs read-write /dev/kvm"), .serialized, .timeLimit(.minutes(10)))
struct TrackingPolicyTests {
  private static let replies = [Probe.reply, Probe.reply + 0x1000, Probe.reply + 0x2000]

  private func probe(
    _ steps: [ProbeStep], _ transport: HyperVTransport, _ policy: TrackingPolicy,
    source: WrittenPageSourceKind = .dirtyLog, prepare: (GuestMemory) throws -> Void = { _ in }
  ) throws -> Probe {
    try Probe(Probe.introduction + steps, transport: transport) {
      $0.trackingPolicy = policy
      $0.writtenPageSource = source
    } prepare: {
      try prepare($0)
    }
  }

  @Test(arguments: Host.transports, Host.sources)
  func whileTrackedEveryAnswerIsTheTruth(
    transport: HyperVTransport, source: WrittenPageSourceKind
  ) throws {
    for policy in [TrackingPolicy.always, .default] {
      let written: UInt64 = 0x123_4000
      let probe = try probe(
        [
          .hypercall(0x8002, out: Self.replies[0]), .store(1, at: written),
          .hypercall(0x8002, out: Self.replies[1]),
        ], transport, policy, source: source)
      #expect(probe.outcome.exitStatus == 0)
      let answers = try Self.replies[..<2].map { try probe.bootZeroedReply(at: $0) }
      let reports = answers.map { ranges in
        ranges.contains {
          $0.startPage <= written >> 12 && written >> 12 < $0.startPage + $0.pageCount
        }
      }
      #expect(reports == [true, false])
      #expect(try probe.nonZeroPages(in: answers[1]) == [])
      let pages = answers[1].reduce(0) { $0 + $1.pageCount }
      #expect(pages * 4096 >= Probe.memoryByteCount * 97 / 100, "\(pages) pages reported")
      #expect(probe.machine.memory.tracker.isTracking)
    }
  }

  @Test(arguments: Host.transports, Host.sources.filter { $0 != .populated })
  func zeroSecondsEndItWithTheFirstAnswer(
    transport: HyperVTransport, source: WrittenPageSourceKind
  ) throws {
    let probe = try probe(
      Self.replies[..<2].map { .hypercall(0x8002, out: $0) }, transport,
      .untilAnswered(seconds: 0), source: source)
    #expect(probe.outcome.exitStatus == 0)
    #expect(try !probe.bootZeroedReply(at: Self.replies[0]).isEmpty)
    #expect(probe.steps[3].result == 0)
    #expect(try probe.bootZeroedReply(at: Self.replies[1]) == [])
    #expect(!probe.machine.memory.tracker.isTracking)
  }

  /// Looking costs nothing between answers, so nothing ends: a later call gets the truth of then.
  @Test(
    .enabled(if: Host.sources.contains(.populated), "needs PAGEMAP_SCAN"),
    arguments: Host.transports)
  func nothingEndsWhereNothingRuns(transport: HyperVTransport) throws {
    let written: UInt64 = 0x123_4000
    let probe = try probe(
      [
        .hypercall(0x8002, out: Self.replies[0]), .store(1, at: written),
        .hypercall(0x8002, out: Self.replies[1]), .store(0, at: written),
        .hypercall(0x8002, out: Self.replies[2]),
      ], transport, .untilAnswered(seconds: 0), source: .populated)
    #expect(probe.outcome.exitStatus == 0)
    let reports = try Self.replies.map { reply in
      try probe.bootZeroedReply(at: reply).contains {
        $0.startPage <= written >> 12 && written >> 12 < $0.startPage + $0.pageCount
      }
    }
    #expect(reports == [true, false, true])
    #expect(probe.machine.memory.tracker.isTracking)
  }

  @Test func automaticIsWhatCostsLeast() throws {
    let looks = Host.sources.contains(.populated)
    for isPreallocated in [false, true] {
      var configuration = MachineConfiguration(program: [0xF4], memoryByteCount: 16 << 20)
      configuration.isPreallocated = isPreallocated
      let machine = try Machine(configuration, control: MachineControl())
      let expected: WrittenPageSourceKind = looks && !isPreallocated ? .populated : .dirtyLog
      #expect(machine.writtenPageSource == expected)
    }
  }

  @Test(arguments: Host.transports)
  func theClockStartsWithTheFirstAnswer(transport: HyperVTransport) throws {
    let memory = Mutex<GuestMemory?>(nil)
    // The guest's third call waits, in the host, until tracking has ended by itself.
    let probe = try Probe(
      Probe.introduction + [
        .hypercall(0x8002, out: Self.replies[0]), .hypercall(0x8002, out: Self.replies[1]),
        .hypercall(0x8001, out: Self.replies[2]), .hypercall(0x8002, out: Self.replies[2]),
      ], transport: transport
    ) {
      $0.trackingPolicy = .untilAnswered(seconds: 1)
      $0.writtenPageSource = .dirtyLog
    } prepare: { guest in
      memory.withLock { $0 = guest }
    } onHypercall: { event in
      guard event.request.input.callCode == .extendedQueryCapabilities else { return }
      while memory.withLock({ $0?.tracker.isTracking }) == true {}
    }
    #expect(probe.outcome.exitStatus == 0)
    #expect(try !probe.bootZeroedReply(at: Self.replies[0]).isEmpty)
    #expect(try !probe.bootZeroedReply(at: Self.replies[1]).isEmpty)
    #expect(try probe.bootZeroedReply(at: Self.replies[2]) == [])
  }

  @Test(arguments: Host.transports)
  func neverMeansThatTheCallIsNotOffered(transport: HyperVTransport) throws {
    let probe = try probe(
      [.hypercall(0x8001, out: Self.replies[0]), .hypercall(0x8002, out: Self.replies[1])],
      transport, .never)
    #expect(probe.outcome.exitStatus == 0)
    #expect(try probe.machine.memory.load(at: GPA(Self.replies[0]), as: UInt64.self) == 0x100)
    #expect(probe.steps[3].result == 2)
    #expect(probe.machine.writtenPageSource == nil)
    #expect(!probe.machine.memory.tracker.isTracking)
  }
}
