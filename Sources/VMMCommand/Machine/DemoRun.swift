internal import DeviceKit
internal import Devices
internal import FoundationEssentials
internal import GuestMemory
internal import GuestPrograms
internal import MachineSpecification
internal import Synchronization
internal import VMM
internal import ZeroTracker

/// One run of the demo guest: the machine, what the guest reports by its ports, and what it
/// measured.
final class DemoRun: Sendable {
  /// What the guest writes to the report port's key register.
  private enum Key {
    static let phase: UInt32 = 6
    static let zeroedBytes: UInt32 = 7
    static let nonZeroPages: UInt32 = 8
    static let failure: UInt32 = 10
  }

  /// The phase that matters here: the guest has zeroed what it had to.
  private static let zeroedPhase: UInt64 = 2

  private struct Findings {
    var capabilities: UInt64 = 0
    var ranges: [ReportedRange] = []
    var snapshot: ZeroTrackerSnapshot?
    /// Whether the snapshot was taken at an answer.
    var hasAsked = false
    var zeroedBytes: UInt64 = 0
    var nonZeroPages: UInt64?
    var failure: UInt64?
    var residentBytes: UInt64 = 0
    /// Why it could not be measured.
    var obstacle: GuestMemoryError?
    var ticks = DemoReport.VCPUTicks(user: 0, system: 0)
    var elapsed = Duration.zero
    var donePages: UInt64 = 0
  }

  private let options: DemoOptions
  private let offersZeroedMemory: Bool
  private let trace: HypercallTrace?
  private let confinement: Confinement
  private let control = MachineControl()
  private let machine = Mutex<Machine?>(nil)
  private let findings = Mutex(Findings())
  private let start = Mutex(ContinuousClock.now)
  private let progress: ProgressLine

  /// - Parameter confinement: of this process.
  init(
    _ options: DemoOptions, offersZeroedMemory: Bool, trace: HypercallTrace?,
    confinement: Confinement = .none
  ) {
    self.confinement = confinement
    self.options = options
    self.offersZeroedMemory = offersZeroedMemory
    self.trace = trace
    progress = ProgressLine(
      offersZeroedMemory ? "told what is zero: guest at work" : "not told: guest at work")
  }

  /// Ends the run early. Any thread.
  func stop() {
    control.end(with: .stopped)
  }

  /// Builds the machine, runs the guest to its end and reports.
  ///
  /// - Throws: `MachineError`; `DemoFailure` when the guest found something wrong or was stopped.
  func run() throws -> DemoReport {
    defer { progress.finish() }
    var configuration = options.partition.configuration(.program(GuestProgram.demo))
    configuration.offersZeroedMemory = offersZeroedMemory
    let errands = try ErrandThread()
    configuration.portDevices = ports(errands)
    let machine: Machine
    do throws(MachineError) {
      machine = try Machine(
        showing: confinement.machine(configuration), control: control
      ) { [self] in record($0) }
    } catch {
      throw error == .stopped ? DemoFailure(outcome: .stopped, guestFailure: nil) : error
    }
    self.machine.withLock { $0 = machine }
    try trace?.begin()
    start.withLock { $0 = .now }
    let outcome = machine.run()
    self.machine.withLock { $0 = nil }
    guard case .exited(0) = outcome else {
      let failure = findings.withLock { $0.failure }
      throw DemoFailure(outcome: outcome, guestFailure: failure)
    }
    return try report(of: machine)
  }

  /// How guest memory looked when the guest asked; nil if it never did.
  var mapAtAnswer: ZeroTrackerSnapshot? {
    findings.withLock { $0.hasAsked ? $0.snapshot : nil }
  }

  /// Whether anybody will read a snapshot, which costs a copy of the bitmaps.
  private var needsSnapshot: Bool {
    options.mapPath != nil || options.printsJSON
  }

  private func ports(_ errands: ErrandThread) -> [(PortRange, any BusDevice)] {
    let progressPort = SignalPort { [self] pages in advance(by: UInt64(pages)) }
    let startPort = SignalPort { [control] _ in control.startSecondaryVCPUs() }
    let exitPort = ExitPort { [control] status in control.end(with: .exited(status: status)) }
    let reportPort = ReportPort { [self] key, value in note(key, value, errands) }
    return reportPort.attachments + [
      (PortRange(start: 0xD8, count: 1), progressPort),
      (PortRange(start: 0xEC, count: 1), startPort),
      (ExitPort.ports, exitPort),
    ]
  }

  private func record(_ event: HypercallEvent) {
    let record = HypercallRecord(event)
    trace?.record(record)
    // Before tracking stops: afterwards it is not known what the guest wrote.
    let snapshot =
      record.ranges != nil && needsSnapshot
      ? machine.withLock { $0?.memory.tracker.snapshot() } : nil
    findings.withLock { findings in
      if let capabilities = record.capabilities { findings.capabilities = capabilities }
      if let ranges = record.ranges { findings.ranges = ranges }
      if let snapshot {
        findings.snapshot = snapshot
        findings.hasAsked = true
      }
    }
  }

  private func note(_ key: UInt32, _ value: UInt64, _ errands: ErrandThread) {
    switch key {
    // Reads files below /proc.
    case Key.phase where value == Self.zeroedPhase: errands.run { [self] in measure() }
    case Key.zeroedBytes: findings.withLock { $0.zeroedBytes = value }
    case Key.nonZeroPages: findings.withLock { $0.nonZeroPages = value }
    case Key.failure: findings.withLock { $0.failure = value }
    default: break
    }
  }

  /// Taken when the guest has the memory it wants, and before it reads everything that was
  /// reported: a real guest does not do that, and it costs time and, with memfd, memory.
  private func measure() {
    let elapsed = start.withLock { $0.duration(to: .now) }
    guard let machine = machine.withLock({ $0 }) else { return }
    let ticks = ThreadTicks.sum(of: machine.vcpuThreadIDs)
    var resident: UInt64 = 0
    var obstacle: GuestMemoryError?
    do throws(GuestMemoryError) {
      resident = try machine.memory.residentByteCount()
    } catch {
      obstacle = error
    }
    findings.withLock { findings in
      findings.elapsed = elapsed
      findings.ticks = ticks
      findings.residentBytes = resident
      findings.obstacle = obstacle
      findings.donePages = 0
    }
    // A guest that never asked; after the measurements, which it must not lengthen.
    guard needsSnapshot, findings.withLock({ $0.snapshot == nil }) else { return }
    let snapshot = machine.memory.tracker.snapshot()
    findings.withLock { $0.snapshot = snapshot }
  }

  private func advance(by pages: UInt64) {
    let done = findings.withLock { findings in
      findings.donePages &+= pages
      return findings.donePages
    }
    progress.update(ByteCount(done &* 4096), of: options.partition.memory.byteCount)
  }

  private func report(of machine: Machine) throws -> DemoReport {
    let findings = findings.withLock { $0 }
    guard let nonZeroPages = findings.nonZeroPages else {
      throw DemoFailure(outcome: .exited(status: 0), guestFailure: nil)
    }
    // Figures that were not measured are not shown: without /proc there are no times either.
    if let obstacle = findings.obstacle { throw MachineError.memory(obstacle) }
    let elapsed = findings.elapsed.components
    let explanation =
      options.printsJSON
      ? findings.snapshot.map { MemoryExplanation($0, hasAsked: findings.hasAsked) } : nil
    return DemoReport(
      hyperv: machine.transport.rawValue, offersZeroedMemory: offersZeroedMemory,
      vcpuCount: options.partition.vcpuCount, memoryBytes: options.partition.memory.byteCount.bytes,
      backing: options.partition.memory.backing.rawValue,
      preallocated: options.partition.memory.isPreallocated,
      writtenPageSource: machine.writtenPageSource.map { "the \($0.title)" } ?? "nothing",
      granularityBytes: machine.memory.tracker.granularity.byteCount,
      capabilities: findings.capabilities, reportedRanges: findings.ranges,
      reportedBytes: findings.ranges.reduce(0) { $0 + $1.pageCount * 4096 },
      memory: explanation?.totals, unreported: explanation?.unreported,
      unreportedOmitted: explanation?.omittedCount,
      guestZeroedBytes: findings.zeroedBytes, nonZeroReportedPages: nonZeroPages,
      residentBytes: findings.residentBytes, vcpuTicks: findings.ticks,
      ticksPerSecond: ThreadTicks.perSecond,
      elapsedSeconds: Double(elapsed.seconds) + Double(elapsed.attoseconds) / 1e18)
  }
}

/// The programs that come with `vmm-run`, as flat images.
enum GuestProgram {
  /// Behaves as Windows does at boot: asks which memory is zero, and zeroes the rest.
  static var demo: [UInt8] {
    unsafe bytes(unsafe guest_demo_bytes(), guest_demo_byte_count())
  }

  // SAFETY of every caller: pointer and count are those of one assembled section.
  private static func bytes(_ start: UnsafePointer<UInt8>, _ count: Int) -> [UInt8] {
    unsafe Array(unsafe UnsafeBufferPointer(start: start, count: count))
  }
}
