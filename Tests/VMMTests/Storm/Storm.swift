import DeviceKit
import Devices
import Dispatch
import Foundation
import GuestMemory
import GuestPrograms
import HostSystem
import HyperVCore
import MachineSpecification
import Sandbox
import Synchronization
import TestSupport
import VMM
import ZeroTracker

/// One run: two vCPUs call 0x8002 in a loop, while two vCPUs and two VMM threads write at random
/// and a third discards.
///
/// Nobody waits for a clock. Writers may write so much per answer, a discard comes every so many
/// answers, and callers wait for who lags behind: so memory is neither untouched nor full at most
/// times, on fast machines and slow.
final class Storm: Sendable {
  /// Whether this is a build with `--sanitize=thread`.
  // SAFETY: a constant name; nil searches the whole process.
  static let isUnderThreadSanitizer = unsafe dlsym(nil, "__tsan_init") != nil

  /// The most writes of each writer for one answer.
  private static let writesPerAnswer = 2
  private static let answersPerDiscard = 16

  private struct Goal {
    var checkedAnswers = 0
    var untilViolation = false
  }

  let machine: Machine
  let checker: StormChecker
  let seed: UInt64
  private let control: MachineControl
  private let ways: [StormWriter.Way]
  private let goal = Mutex(Goal())
  private let isOver = Atomic(false)
  private let failure = Mutex<String?>(nil)

  /// - Parameter ways: what VMM threads do; one at random each time.
  init(
    transport: HyperVTransport, source: WrittenPageSourceKind, ways: [StormWriter.Way],
    seed: UInt64
  ) throws {
    let control = MachineControl()
    let hooks = Hooks()
    var configuration = MachineConfiguration.confined(
      program: unsafe [UInt8](
        UnsafeBufferPointer(start: guest_storm_bytes(), count: guest_storm_byte_count())),
      memoryByteCount: StormLayout.memoryByteCount, vcpuCount: StormLayout.vcpuCount)
    configuration.hyperV = transport == .kernel ? .kernel : .userspace
    // The sharpest: a mark withholds one page, so that no neighbour hides a missing one.
    configuration.granularity = try TrackingGranularity(byteCount: 4096)
    configuration.trackingPolicy = .always
    configuration.writtenPageSource = source
    configuration.portDevices = [
      (ExitPort.ports, ExitPort { control.end(with: .exited(status: $0)) }),
      (PortRange(start: 0xEC, count: 1), SignalPort { _ in control.startSecondaryVCPUs() }),
      (PortRange(start: 0xD8, count: 1), SignalPort { hooks.storm?.progress(Int($0)) }),
    ]
    machine = try Machine(configuration, control: control) { hooks.storm?.answered($0) }
    let memory = machine.memory
    checker = StormChecker(
      epoch: try SharedWords(memory, at: StormLayout.parameters, count: 1),
      done: try SharedWords(memory, at: StormLayout.done, count: StormLayout.arenaPageCount))
    for (index, word) in StormLayout.words(seed: seed).enumerated() {
      try memory.store(word, at: GPA(StormLayout.parameters.rawValue + 64 + UInt64(index * 8)))
    }
    // 0 is what `done` begins with.
    checker.epoch.store(2, at: 0)
    self.control = control
    self.ways = ways
    self.seed = seed
    hooks.set(self)
  }

  /// Runs until so many answers were checked, or until a violation if that is what is looked for.
  ///
  /// It also ends after ten times as many answers: then hardly any could be checked.
  ///
  /// - Returns: what ended the run, nil if it went as it should.
  func run(checkedAnswers: Int, untilViolation: Bool = false) -> String? {
    goal.withLock { $0 = Goal(checkedAnswers: checkedAnswers, untilViolation: untilViolation) }
    let threads = DispatchGroup()
    for writer in 0..<2 as Range<UInt64> {
      start(in: threads, as: .disk) { $0.write(seed: $0.seed &* 4 &+ writer) }
    }
    start(in: threads, as: .vcpu) { $0.discard() }
    let outcome = machine.run()
    isOver.store(true, ordering: .releasing)
    threads.wait()
    if let failure = failure.withLock({ $0 }) { return failure }
    if case .exited(0) = outcome { return nil }
    return "\(outcome)"
  }

  /// A thread of its own: a queue would run no more blocks at once than there are processors.
  private func start(
    in threads: DispatchGroup, as role: ThreadRole, _ body: @escaping @Sendable (Storm) -> Void
  ) {
    threads.enter()
    Thread.detachNewThread { [self] in
      ThreadFilter.enter(role)
      body(self)
      threads.leave()
    }
  }

  private func answered(_ event: HypercallEvent) {
    checker.check(event)
    let isEnd = goal.withLock { goal in
      checker.counts.checked.count >= goal.checkedAnswers
        || checker.counts.answers.count >= 10 * goal.checkedAnswers
        || (goal.untilViolation && checker.counts.violations.count > 0)
    }
    if isEnd { end() }
    // Nobody is left behind: a caller that finds the tracker's lock free again and again starves
    // the discarder, and then all pages are written and every answer is empty.
    wait {
      let counts = checker.counts
      let allowed = min(
        (counts.discards.count + 1) * Self.answersPerDiscard * 4, counts.guestWrites.count + 64,
        counts.hostWrites.count * answersPerHostWrite + 64)
      return counts.answers.count <= allowed
    }
    checker.note(forVCPU: event.vcpuID)
  }

  private func end() {
    isOver.store(true, ordering: .releasing)
    control.end(with: .exited(status: 0))
  }

  /// A guest writer has written `count` pages; it goes on when it may.
  private func progress(_ count: Int) {
    checker.counts.guestWrites.count(count)
    wait { checker.counts.guestWrites.count <= 2 * writesAllowed }
  }

  private func write(seed: UInt64) {
    var writer = StormWriter(
      memory: machine.memory, checker: checker, random: SeededGenerator(seed: seed),
      arena: RawArena(machine.memory))
    do {
      while !isOver.load(ordering: .acquiring) {
        try writer.write(ways.randomElement(using: &writer.random)!)
        wait { checker.counts.hostWrites.count <= 2 * writesAllowed }
      }
    } catch {
      fail("\(error)")
    }
  }

  private func discard() {
    var discarder = StormDiscarder(
      memory: machine.memory, checker: checker, arena: RawArena(machine.memory))
    do {
      while !isOver.load(ordering: .acquiring) {
        try discarder.discard()
        let next = checker.counts.answers.count + Self.answersPerDiscard
        wait { checker.counts.answers.count >= next }
      }
    } catch {
      fail("\(error)")
    }
  }

  /// Who marks late waits for answers with each write; with fewer allowed, both would wait for the
  /// other.
  private var answersPerHostWrite: Int {
    ways.contains(.markingLast) ? StormWriter.answersBeforeMark : 1
  }

  /// A writer may be ahead by some writes from the start, or nobody would begin.
  private var writesAllowed: Int {
    checker.counts.answers.count * Self.writesPerAnswer + 64
  }

  /// Naps until the condition holds or the storm is over. Five minutes and more of naps means that
  /// whoever is waited for has died; without an end a vCPU's thread would nap on.
  private func wait(until condition: () -> Bool) {
    for _ in 0..<4_000_000 {
      if condition() || isOver.load(ordering: .acquiring) { return }
      TestThreads.nap(microseconds: 20)
    }
    fail("nothing went on: \(checker.counts)")
  }

  private func fail(_ message: String) {
    failure.withLock { $0 = $0 ?? message }
    end()
  }

  /// Ties the machine's ports to the storm, which is made after them.
  private final class Hooks: Sendable {
    private let target = Mutex<Weak>(Weak())
    private struct Weak { weak var storm: Storm? }

    var storm: Storm? { target.withLock { $0.storm } }
    func set(_ storm: Storm) { target.withLock { $0.storm = storm } }
  }
}
