internal import DeviceKit
internal import Devices
internal import Glibc
internal import GuestMemory
import HostSystem
internal import HyperVCore
internal import MachineSpecification
internal import Synchronization
internal import VMM

/// `vmm-run run` with a kernel or firmware: machine after machine, as often as the guest resets.
final class SystemRun: Sendable {
  /// What a signal, a key or a byte from the console reaches now.
  private struct Current: Sendable {
    var control: MachineControl?
    var computer: PersonalComputer?
    /// Whether the run was asked to end: no machine is made any more.
    var isEnding = false
  }

  /// Memory that is there as long as somebody has any of it.
  private struct LastMemory: Sendable {
    weak var lifetime: MappingLifetime?
  }

  /// More than anybody looks, and than a busy host takes to close a machine.
  private static let memoryPatienceNanoseconds: UInt64 = 30_000_000_000

  private let options: RunOptions
  private let computer: ComputerSpec
  private let trace: HypercallTrace?
  private let screenshot: Screenshot?
  private let viewers: ViewerService?
  private let changer: MediaChanger
  private let snapshots: SnapshotDirectory?
  /// Set once, before any machine is made; nil without clients.
  private let control = Guarded<ControlService?>(nil)
  /// Set once, before any machine is made; nil without a record.
  private let evidence = Guarded<EvidenceRecorder?>(nil)
  private let summary = BootSummary()
  /// All that a running guest makes this process say.
  private let guestMessages = RateLimitedDiagnostics()
  private let unclaimed = UnclaimedReport()
  private let current = Mutex(Current())
  /// Of the machine that runs, or ran last.
  private let lastMemory = Guarded(LastMemory())
  private let reporter = StatusReporter()

  private init(_ computer: ComputerSpec, _ options: RunOptions) throws {
    self.options = options
    self.computer = computer
    trace = try options.traceHypercalls.map { HypercallTrace(try LogFile($0)) }
    screenshot = try options.screenshotPath.map { try Screenshot(path: $0) }
    viewers = try options.vnc.map { try ViewerService($0, name: computer.title) }
    changer = try MediaChanger(computer.cdroms)
    snapshots = try options.snapshotsPath.map { try SnapshotDirectory($0, of: options.machine) }
  }

  static func run(_ computer: ComputerSpec, _ options: RunOptions) throws -> ExitStatus {
    try SystemRun(computer, options).run()
  }

  private func run() throws -> ExitStatus {
    let console = try computer.serial.makeConsole(
      onRequest: { [self] in answer($0) }, onQuit: { [self] in quit() })
    // Before its disks are open: what is wrong with them is said first.
    let snapshot = try options.restoredFrom?.open()
    var configuration = try configuration(console)
    configuration.restoration = snapshot?.restoration ?? options.received?.restoration
    // Late: what else is wrong is said before a program is started.
    let tpm = try computer.tpm.map {
      try TPMService(
        $0, isReceived: options.received != nil, mayMove: options.control != nil, guestMessages)
    }
    configuration.computer.tpm = tpm?.configuration
    let files = configuration.passableFiles
    options.received?.expect(options.machine, files: files)
    try attend(to: configuration.computer, files)
    var tuner: MemoryTuner?
    if options.memoryPolicy == .auto, let balloon = configuration.computer.balloon {
      tuner = try MemoryTuner(balloon, options.machine.partition.memory)
    }
    // It ends as the last: what the others say is still told.
    defer { control.withLock { $0 }?.stop() }
    let sandbox = MachineSandbox(
      options.sandbox, tracking: options.machine.partition.tracking,
      readsTimeZone: computer.clock == .local, keepsFlash: computer.keepsFlash,
      servesViewers: viewers != nil, tpm: computer.tpm, hasNetwork: !computer.networks.isEmpty,
      controlPath: options.control?.path, snapshotsPath: options.snapshotsPath,
      evidencePath: recorder?.path, isRestored: options.restoredFrom != nil,
      isReceived: options.received != nil)
    let confinement = try sandbox.enter()
    defer { tpm?.stop() }
    let signals = try SignalWatcher(
      onFirst: { [self] _ in askToPowerOff() }, onHangUp: { [self] in quit() },
      beforeImmediateExit: { console.restoreTerminal() }, suspension: console.suspension,
      onRequest: { [self] in answer($0) })
    defer { signals.stop() }
    // Its thread inherits that signals are the watcher's.
    try viewers?.start { confinement.enterThread(.viewer) }
    defer { viewers?.stop() }
    try control.withLock { $0 }?.start(
      quit: { [self] in quit() }, onThreadStart: { confinement.enterThread(.control) })
    try recorder?.begin { confinement.enterThread(.service) }
    try tuner?.begin { confinement.enterThread(.service) }
    defer { tuner?.end() }
    let status: ExitStatus
    do {
      defer { console.stop() }
      let outcome = try runToTheEnd(confinement.machine(configuration)) {
        [self] in
        snapshot?.close()
        try trace?.begin()
        try console.start { [self] bytes in receive(bytes) }
        // The last: from here on the machine is this one.
        try options.received?.receiver.commit()
      }
      // Messages are whole lines on a terminal that is as it was.
      console.stop()
      finishMessages()
      screenshot?.write()
      if let summary = summary.text { Diagnostics.report(summary) }
      status = Self.status(of: outcome, signals.receivedSignal)
      recorder?.finish(outcome.failureText, unclaimed: unclaimed.lines)
    } catch {
      console.stop()
      finishMessages()
      options.received?.receiver.refuse("\(error)")
      status = Diagnostics.end(with: error)
      recorder?.finish("\(error)", unclaimed: unclaimed.lines)
    }
    return trace?.end(status) ?? status
  }

  /// Makes the socket of `--control`, with which goes what clients ask of the computer, and the
  /// files of `--evidence`.
  private func attend(
    to configuration: PersonalComputerConfiguration, _ files: [any PassableFile]
  ) throws {
    guard options.evidencePath != nil || options.control != nil else { return }
    let parts = try parts(of: configuration, files)
    if let path = options.evidencePath {
      let recorder = try EvidenceRecorder(EvidenceDirectory(path: path), of: options.machine, parts)
      evidence.withLock { $0 = recorder }
    }
    if let options = options.control {
      let service = try ControlService(options, parts)
      control.withLock { $0 = service }
    }
  }

  private func parts(
    of configuration: PersonalComputerConfiguration, _ files: [any PassableFile]
  ) throws -> ControlledRun.Parts {
    var parts = try ControlledRun.Parts(
      specification: options.machine, snapshots: snapshots)
    parts.files = files
    parts.changer = computer.cdroms.isEmpty ? nil : changer
    parts.balloon = configuration.balloon
    parts.disks = zip(
      computer.disks.enumerated().filter { $0.element.bus == .nvme }.map { "disk\($0.offset)" },
      configuration.disks.map(\.history)
    ).map { ($0, $1) }
    parts.networks = configuration.networks.enumerated().compactMap { index, network in
      (network.backend as? any PluggableNetwork).map { ("nic\(index)", $0) }
    }
    return parts
  }

  /// What is left to say of the guest, whatever the end.
  private func finishMessages() {
    guestMessages.finish()
    if options.tracesIO { for line in unclaimed.lines { Diagnostics.report(line) } }
  }

  private static func status(of outcome: MachineOutcome, _ signal: Int32?) -> ExitStatus {
    switch outcome {
    case .reset, .poweredOff: return .success
    case .exited(let status): return .guest(UInt8(truncatingIfNeeded: status))
    case .stopped: return signal.map { .signalled($0) } ?? .success
    default:
      for line in outcome.failureLines { Diagnostics.report(line) }
      return .failure
    }
  }

  /// Machine after machine, until one ends by more than a reset that the options follow.
  ///
  /// - Parameter begin: called once, when the first machine is made and before it runs.
  private func runToTheEnd(
    _ machine: ConfinedMachine, begin: () throws -> Void
  ) throws -> MachineOutcome {
    var machine = machine
    var isFirst = true
    var tripleFaults = TripleFaultLimit()
    while true {
      var outcome = try runOnce(&machine) {
        if isFirst { try begin() }
        isFirst = false
      }
      // A reset starts the machine, whatever its first life went on from.
      machine.configuration.restoration = nil
      if case .tripleFault = outcome { outcome = afterTripleFault(outcome, &tripleFaults) }
      if case .reset = outcome, computer.onReset == .reset {
        controlled?.noteReset()
        waitForMemory()
        continue
      }
      return outcome
    }
  }

  /// Waits until the memory of the machine that has ended is the host's again: somebody may still
  /// look at it, such as a control client, and there may not be enough for two.
  private func waitForMemory() {
    let deadline = HostClock.monotonicNanoseconds() &+ Self.memoryPatienceNanoseconds
    while lastMemory.withLock({ $0.lifetime }) != nil {
      guard HostClock.monotonicNanoseconds() < deadline else {
        Diagnostics.report(
          "the memory of the machine before the reset is still in use; the next one starts beside it"
        )
        return
      }
      // A millisecond; the sandbox has no other sleep.
      _ = poll(nil, 0, 1)
    }
  }

  /// A triple fault resets a PC, though it is rarely meant so; too many of them end the run.
  private func afterTripleFault(
    _ outcome: MachineOutcome, _ tripleFaults: inout TripleFaultLimit
  ) -> MachineOutcome {
    if computer.onReset == .reset, tripleFaults.note(at: HostClock.monotonicNanoseconds()) {
      Diagnostics.report(
        "\(TripleFaultLimit.count) triple faults in ten seconds: the guest gets no further")
      return outcome
    }
    guestMessages.report(
      outcome.failureText + (computer.onReset == .reset ? "; the machine resets" : ""))
    return .reset
  }

  private func configuration(_ console: any ConsoleBackend) throws -> MachineConfiguration {
    var configuration = options.machine.partition.configuration(
      try computer.image(guestMessages, isLocked: options.received == nil))
    configuration.allowsTrimming = options.control != nil
    configuration.computer.serialOutput = { console.write([$0]) }
    configuration.computer.onSerialRoom = { console.guestHasRoom() }
    configuration.computer.clockIsLocal = computer.clock == .local
    configuration.computer.display = computer.display
    configuration.computer.usbDevices = (computer.usb ?? []).map { device in
      switch device {
      case .tablet: .tablet
      case .keyboard: .keyboard
      }
    }
    configuration.computer.hasRandomNumbers = computer.hasRandomNumbers
    // Dynamic Memory is a part of VMBus, whether its balloon has a size or not.
    let balloon = computer.balloon ?? (computer.hasVMBus ? BalloonSpec() : nil)
    configuration.computer.balloon = balloon.map {
      Balloon(targetPageCount: $0.targetPageCount)
    }
    let memory = options.machine.partition.memory
    if let target = memory.target {
      configuration.computer.balloon?.setSize(memory.size(target.bytes))
    }
    configuration.computer.hasVMBus = computer.hasVMBus
    try computer.addDisks(
      to: &configuration.computer, changer, isLocked: options.received == nil)
    configuration.computer.version = Version.number
    try computer.tellFirmware(&configuration.computer)
    try computer.addNetworks(
      to: &configuration.computer, vcpuCount: options.machine.partition.vcpuCount, guestMessages)
    if options.lacksNetwork {
      Diagnostics.report(
        "no network: the program passt is not there; \(PasstProgram.cure), or say --net none")
    }
    configuration.endsOnCrash = computer.onCrash == .report
    return configuration
  }

  /// One life of the machine: from its making, or a reset, to its end.
  ///
  /// - Parameters:
  ///   - confined: takes what outlives the machine: the real-time clock.
  ///   - begin: called when the machine is made.
  private func runOnce(
    _ confined: inout ConfinedMachine, begin: () throws -> Void
  ) throws -> MachineOutcome {
    let control = MachineControl()
    let isEnding = current.withLock { current in
      current.control = control
      return current.isEnding
    }
    defer {
      current.withLock { current in
        current.control = nil
        current.computer = nil
      }
      viewers?.show(nil)
    }
    try controlled?.prepare(control)
    var outcome: MachineOutcome?
    defer { controlled?.end(outcome) }
    if isEnding { return .stopped }
    let machine: Machine
    do throws(MachineError) {
      machine = try Machine(showing: confined, control: control) {
        [trace, summary, controlled, recorder] event in
        let record = HypercallRecord(event)
        trace?.record(record)
        recorder?.record(record)
        summary.note(record)
        controlled?.note(record)
      }
    } catch {
      guard error == .stopped else { throw error }
      return .stopped
    }
    if !machine.missingEnlightenments.isEmpty {
      // Once for each life, and a guest may reset as often as it likes.
      guestMessages.report(
        "this KVM does not implement \(machine.missingEnlightenments), so the guest is not"
          + " offered it")
    }
    lastMemory.withLock { $0.lifetime = machine.memory.lifetime }
    try begin()
    summary.begin(memory: ByteCount(machine.memory.layout.ramByteCount))
    current.withLock { $0.computer = machine.computer }
    viewers?.show(machine.computer)
    // What was typed before, and while there was no machine.
    confined.configuration.computer.onSerialRoom()
    reporter.begin(machine)
    defer { reporter.end() }
    controlled?.begin(machine)
    recorder?.begin(machine)
    let ended = machine.run()
    outcome = ended
    recorder?.end(machine)
    confined.configuration.computer.keptClock = machine.computer?.keptClock
    if let display = machine.computer?.display { screenshot?.keep(display) }
    summary.end(residentByteCount: try? machine.memory.residentByteCount())
    if options.tracesIO || recorder != nil {
      unclaimed.add(
        machine.ports.unclaimedAccesses, machine.mmio.unclaimedPages,
        unlistedAccessCount: machine.mmio.unlistedAccessCount)
    }
    return ended
  }

  /// The first signal is the power button; a guest that does not listen to it is stopped, and so is
  /// a machine that is still being made.
  private func askToPowerOff() {
    let (control, computer) = current.withLock { current in
      current.isEnding = true
      return (current.control, current.computer)
    }
    if computer?.pressPowerButton() != true { control?.end(with: .stopped) }
  }

  /// On the thread of the signals or of the keys.
  private func answer(_ request: RunRequest) {
    switch request {
    case .status: reporter.report()
    case .nextMedium(let drive): Diagnostics.tell(changer.goOn(drive))
    case .screenshot:
      Diagnostics.tell(
        screenshot?.write(current.withLock { $0.computer }?.display)
          ?? "no screenshot: start with '\(OptionDefinition.screenshot.synopsis)'")
    }
  }

  private var recorder: EvidenceRecorder? { evidence.withLock { $0 } }

  /// The run for its clients; nil without any.
  private var controlled: ControlledRun? { control.withLock { $0?.run } }

  private func quit() {
    let control = current.withLock { current in
      current.isEnding = true
      return current.control
    }
    control?.end(with: .stopped)
  }

  /// How many of the bytes the guest's serial port takes; none while there is no guest.
  private func receive(_ bytes: [UInt8]) -> Int {
    let computer = current.withLock { $0.computer }
    return computer?.serialPort.receive(bytes) ?? 0
  }
}
