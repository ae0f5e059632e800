internal import HostSystem
internal import MachineSpecification
internal import Synchronization
internal import VMM

/// `vmm-run demo`.
enum DemoCommand {
  static func run(_ options: DemoOptions) -> ExitStatus {
    let current = Mutex<DemoRun?>(nil)
    let isStopping = Flag()
    do {
      try options.files.check()
      let trace = try options.traceHypercalls.map { HypercallTrace(try LogFile($0)) }
      let sandbox = MachineSandbox(
        options.sandbox, tracking: options.partition.tracking, mapPath: options.mapPath)
      let confinement = try sandbox.enter()
      let signals = try SignalWatcher { _ in
        isStopping.raise()
        current.withLock { $0 }?.stop()
      }
      defer { signals.stop() }
      func report(offersZeroedMemory: Bool) throws -> DemoReport {
        let run = DemoRun(
          options, offersZeroedMemory: offersZeroedMemory, trace: trace, confinement: confinement)
        current.withLock { $0 = run }
        // A signal between two runs found nothing to stop.
        if isStopping.isRaised { run.stop() }
        let report = try run.run()
        if offersZeroedMemory, let path = options.mapPath { try draw(run, report, to: path) }
        return report
      }
      let status: ExitStatus
      do {
        let isTruthful =
          options.compares ? try compare(options, report) : try once(options, report)
        status = isTruthful ? .success : .failure
      } catch {
        // Whatever could not be done then.
        if let signal = signals.receivedSignal {
          status = .signalled(signal)
        } else {
          status = Diagnostics.end(with: error)
        }
      }
      return trace?.end(status) ?? status
    } catch {
      return Diagnostics.end(with: error)
    }
  }

  private static func once(
    _ options: DemoOptions, _ run: (Bool) throws -> DemoReport
  ) throws -> Bool {
    let report = try run(options.offersZeroedMemory)
    try OutputFile.writeStandardOutput(
      options.printsJSON ? try ReportJSON.text(report) : report.text)
    return report.isTruthful
  }

  private static func compare(
    _ options: DemoOptions, _ run: (Bool) throws -> DemoReport
  ) throws -> Bool {
    let comparison = DemoComparison(with: try run(true), without: try run(false))
    try OutputFile.writeStandardOutput(
      options.printsJSON ? try ReportJSON.text(comparison) : comparison.text)
    return comparison.isTruthful
  }

  private static func draw(_ run: DemoRun, _ report: DemoReport, to path: String) throws {
    guard let snapshot = run.mapAtAnswer else { return }
    let memory = ByteCount(report.memoryBytes)
    let picture = MemoryPictureSVG(
      MemoryPicture(snapshot), title: "Guest memory when the guest asked what is zero",
      subtitle: "\(memory), \(ByteCount(report.reportedBytes)) reported in"
        + " \(report.reportedRanges.count) ranges",
      explanation: MemoryExplanation(snapshot, hasAsked: true))
    try OutputFile.replace(path, with: picture.text)
  }
}
