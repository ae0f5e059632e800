internal import ControlAPI
internal import Devices
internal import Glibc
internal import GuestMemory
internal import HostSystem
internal import HyperVCore
internal import MachineSpecification
internal import VMM

/// The run as control clients see it: machines come and go, and requests reach the one of now.
///
/// Any thread. A pause outlives the machine that it was meant for: one that takes its place at that
/// very moment begins paused.
final class ControlledRun: Sendable {
  /// What belongs to the run, whatever its machines.
  struct Parts: Sendable {
    var specification: MachineSpec
    /// The same with files named from the root, for another process.
    var passedOn: MachineSpec
    /// Where machines are saved; nil for nowhere.
    var snapshots: SnapshotDirectory?
    /// Nil without CD drives.
    var changer: MediaChanger?
    var balloon: Balloon?
    /// With the name of each.
    var disks: [(name: String, history: NVMeHistory)] = []
    var networks: [(name: String, cable: any PluggableNetwork)] = []
    /// What the machine has for itself, and passes on when it moves.
    var files: [any PassableFile] = []

    /// Before the sandbox closes.
    init(specification: MachineSpec, snapshots: SnapshotDirectory? = nil) throws(SystemError) {
      self.specification = specification
      passedOn = specification.withAbsolutePaths(from: try SnapshotDirectory.currentDirectory())
      self.snapshots = snapshots
    }
  }

  struct State {
    var control: MachineControl?
    var machine: Machine?
    var isPaused = false
    /// Whether the last that clients were told is a pause.
    var isToldPaused = false
    var isEnding = false
    var resetCount: UInt64 = 0
    /// How far it has moved; nil if it does not.
    var migration: MachineInfo.Migration?
    var isMigrationCancelled = false
    /// It has moved, perhaps: the destination has not said so.
    var mayBeElsewhere = false
    /// Ends the run; nil before there is one.
    var quit: (@Sendable () -> Void)?
  }

  let parts: Parts
  let events = ControlEvents()
  let hypercalls = HypercallCounts()
  let state = Guarded(State())
  private let processID = getpid()
  /// What `--print-config` prints.
  private let configuration: JSONValue

  init(_ parts: Parts) {
    self.parts = parts
    configuration = parts.specification.value
    parts.balloon?.setListener { [events] count in
      events.post(
        ControlEvent(
          .balloonReached,
          [("actual_bytes", .count(UInt64(count) * UInt64(Balloon.pageByteCount)))]))
    }
    parts.changer?.setListener { [events] outcome in
      guard !outcome.isAwaited else { return }
      events.post(
        ControlEvent(
          .mediumChanged,
          [
            ("drive", .integer(Int64(outcome.drive))),
            ("medium", outcome.medium.map { .text($0) } ?? .null),
          ]))
    }
  }

  // MARK: The run's side

  /// The run begins.
  ///
  /// - Parameter quit: ends it, whatever the guest is doing.
  func begin(quit: @escaping @Sendable () -> Void) {
    state.withLock { $0.quit = quit }
  }

  /// A machine is about to be made.
  func prepare(_ control: MachineControl) throws(MachineError) {
    try state.withLock { (state) throws(MachineError) in
      state.control = control
      // With no vCPU in the guest nothing is waited for.
      if state.isPaused { try control.pause() }
    }
  }

  /// It is made, and runs.
  func begin(_ machine: Machine) {
    state.withLock { $0.machine = machine }
    events.post(
      ControlEvent(
        .booted,
        [
          ("vcpus", .integer(Int64(parts.specification.partition.vcpuCount))),
          ("memory_bytes", .count(machine.memory.layout.ramByteCount)),
        ]))
  }

  /// It has ended, or was never made.
  func end(_ outcome: MachineOutcome?) {
    let wasMade = state.withLock { state in
      defer { (state.control, state.machine) = (nil, nil) }
      return state.machine != nil
    }
    if wasMade, let event = outcome?.event { events.post(event) }
  }

  /// A hypercall was answered.
  func note(_ record: HypercallRecord) {
    hypercalls.note(record)
    guard let ranges = record.ranges else { return }
    events.post(
      ControlEvent(
        .zeroedMemoryReported,
        [
          ("ranges", .integer(Int64(ranges.count))),
          ("pages", .count(ranges.reduce(0) { $0 &+ $1.pageCount })),
        ]))
  }

  /// Another machine takes its place.
  func noteReset() {
    state.withLock { $0.resetCount += 1 }
  }

  /// The run ends.
  func finish() {
    state.withLock { $0.isEnding = true }
    events.post(ControlEvent(.shutdown))
  }

  // MARK: The clients' side

  private var isPC: Bool { parts.specification.isPC }

  /// Waits for nothing and asks the kernel for nothing: for the thread that serves clients.
  var info: MachineInfo {
    let (state, migration) = state.withLock {
      state -> (MachineInfo.State, MachineInfo.Migration?) in
      if state.isEnding { return (.shutdown, nil) }
      guard state.machine != nil else { return (.created, nil) }
      return (state.isPaused ? .paused : .running, state.migration)
    }
    var info = MachineInfo(
      state: state, processID: processID, version: Version.number,
      uptimeSeconds: events.uptimeSeconds, configuration: configuration)
    info.migration = migration
    return info
  }

  /// Takes all vCPUs out of the guest; waits for them.
  func pause() -> ControlReply {
    let control = state.withLock { state in
      if state.control != nil { state.isPaused = true }
      return state.control
    }
    guard let control else { return Self.noMachine }
    do {
      let isComplete = try control.pause()
      let isNews = state.withLock { state in
        let isNews = isComplete && state.isPaused && !state.isToldPaused
        if isNews { state.isToldPaused = true }
        // Somebody resumed it meanwhile, perhaps just before the gate closed. Under the lock: the
        // next pause must not come between and be opened.
        if !state.isPaused { control.resume() }
        return isNews
      }
      guard isComplete else {
        return .failure(
          .internalError,
          "a vCPU is still busy in a device after 10 seconds; none enters the guest again before"
            + " vm.resume")
      }
      if isNews { events.post(ControlEvent(.paused)) }
      return .done
    } catch {
      state.withLock { $0.isPaused = false }
      return .failure(.unavailable, "\(error)")
    }
  }

  /// Lets the vCPUs go on; waits for nothing.
  func resume() -> ControlReply {
    if let refusal = takeBack() { return refusal }
    let wasPaused = state.withLock { state in
      defer { (state.isPaused, state.isToldPaused) = (false, false) }
      // Under the lock: as above.
      state.control?.resume()
      return state.isToldPaused
    }
    if wasPaused { events.post(ControlEvent(.resumed)) }
    return .done
  }

  /// Saves the machine; one that runs is paused meanwhile.
  func save(as name: SnapshotName) -> ControlReply {
    guard let snapshots = parts.snapshots else {
      return .failure(
        .conflict, "there is no place for saved machines; start it with --snapshots DIR")
    }
    let (control, machine) = state.withLock { ($0.control, $0.machine) }
    guard let control, let machine else { return Self.noMachine }
    // Whoever pauses or resumes it meanwhile gets that afterwards. Under the lock: a pause that
    // comes between would be opened.
    defer {
      state.withLock { state in
        if !state.isPaused { control.resume() }
      }
    }
    do {
      guard try control.pause() else {
        return .failure(.internalError, "a vCPU is still busy in a device after 10 seconds")
      }
      let path = try snapshots.save(machine, as: name.description)
      events.post(ControlEvent(.saved, [("path", .text(path))]))
      return .value(.members([("path", .text(path))]))
    } catch let error as SnapshotError {
      return .failure(.internalError, error.description)
    } catch {
      return .failure(.unavailable, "\(error)")
    }
  }

  func reboot() -> ControlReply {
    guard isPC else {
      return .failure(.conflict, "a flat program cannot be reset; start it again")
    }
    let (control, moves) = state.withLock { state in
      // Its disks may be another process's at any moment.
      let moves = state.migration != nil || state.mayBeElsewhere
      if state.control != nil, !moves { (state.isPaused, state.isToldPaused) = (false, false) }
      return (state.control, moves)
    }
    if moves { return .failure(.conflict, "the machine moves; use vm.cancel-migration first") }
    guard let control else { return Self.noMachine }
    control.end(with: .reset)
    return .done
  }

  func shutDown() -> ControlReply {
    let quit = state.withLock { state in
      state.isEnding = true
      return state.quit
    }
    quit?()
    return .done
  }

  func pressPowerButton() -> ControlReply {
    guard isPC else {
      return .failure(.conflict, "a flat program has no power button; use vm.shutdown")
    }
    guard let computer = machine?.computer else { return Self.noMachine }
    guard computer.pressPowerButton() else {
      return .failure(.conflict, "the guest does not listen to the power button; use vm.shutdown")
    }
    return .done
  }

  func resize(_ size: ControlRequest.Size) -> ControlReply {
    guard let balloon = parts.balloon else {
      return .failure(.conflict, "the machine has no balloon; start it with --balloon")
    }
    switch size {
    case .balloon(let byteCount): return resize(balloon, balloonByteCount: byteCount)
    case .memory(let byteCount):
      let memory = parts.specification.partition.memory
      guard byteCount > 0, byteCount <= memory.largest.bytes else {
        return .failure(
          .badRequest,
          "vm.resize: the guest can have up to \(memory.largest.bytes) bytes; max= of --memory says"
            + " more")
      }
      balloon.setSize(memory.size(byteCount))
      return .done
    }
  }

  private func resize(_ balloon: Balloon, balloonByteCount: UInt64) -> ControlReply {
    let memory = parts.specification.partition.memory.byteCount
    guard balloonByteCount < memory.bytes,
      let count = UInt32(exactly: balloonByteCount / UInt64(Balloon.pageByteCount))
    else {
      return .failure(
        .badRequest, "vm.resize: the guest has \(memory.bytes) bytes, and keeps some of them")
    }
    balloon.targetPageCount = count
    return .done
  }

  func changeMedium(_ change: ControlRequest.CDROMChange) -> ControlReply {
    guard let changer = parts.changer else {
      return .failure(.conflict, "there is no CD drive; start with --cdrom FILE")
    }
    do throws(MediaChanger.Failure) {
      return .value(try changer.change(change.drive, to: change.medium).value)
    } catch {
      return .failure(.conflict, "vm.cdrom: \(error)")
    }
  }

  func setLink(_ number: Int, _ hasLink: Bool) -> ControlReply {
    let name = "nic\(number)"
    guard let cable = parts.networks.first(where: { $0.name == name })?.cable else {
      return .failure(
        .conflict,
        parts.networks.isEmpty
          ? "there is no network card; start with --net" : "there is no \(name); the first is nic0")
    }
    let isNews = cable.isPlugged != hasLink
    cable.isPlugged = hasLink
    if isNews {
      events.post(
        ControlEvent(
          .linkChanged, [("nic", .integer(Int64(number))), ("link", .flag(hasLink))]))
    }
    return .done
  }

  func takeScreenshot() -> ControlReply {
    guard parts.specification.hasDisplay else {
      return .failure(
        .conflict, "the machine has no display; start it with --display WIDTHxHEIGHT")
    }
    guard let display = machine?.computer?.display else { return Self.noMachine }
    guard let picture = Screenshot.picture(of: display) else {
      return .failure(.conflict, "the guest shows no picture")
    }
    return .picture(picture)
  }

  /// What the machine has done; walks page tables.
  func counters() -> MachineCounters? {
    let (machine, resets, isPaused) = state.withLock { state in
      (state.machine, state.resetCount, state.isPaused)
    }
    guard let machine else { return nil }
    var counters = parts.counters(of: machine)
    counters.version = Version.number
    counters.uptimeSeconds = events.uptimeSeconds
    counters.isPaused = isPaused
    counters.resets = resets
    counters.hypercalls = hypercalls.counts
    return counters
  }

  private var machine: Machine? { state.withLock { $0.machine } }

  /// Between two lives, and before the first.
  static var noMachine: ControlReply {
    .failure(.unavailable, "the machine is being made; ask again")
  }
}

extension MachineOutcome {
  /// What clients are told of it, beside the end of the run.
  fileprivate var event: ControlEvent? {
    switch self {
    case .reset: ControlEvent(.reset)
    case .tripleFault(let vcpu, _):
      ControlEvent(.reset, [("triple_fault_on_vcpu", .count(UInt64(vcpu)))])
    case .crashed(let crash):
      ControlEvent(
        .crashed,
        [
          ("vcpu", .count(UInt64(crash.vcpuID))),
          (
            "parameters",
            .array(
              crash.report.parameters.map { .text("0x" + String($0, radix: 16)) })
          ),
          ("message", crash.message.map { .text(Self.text($0)) } ?? .null),
        ])
    default: nil
    }
  }

  /// The guest's own bytes, at most 4096 of them: what is no UTF-8 is replaced.
  private static func text(_ bytes: [UInt8]) -> String {
    String(decoding: bytes, as: UTF8.self)
  }
}

extension MachineSpec {
  fileprivate var isPC: Bool {
    if case .computer = guest { true } else { false }
  }

  fileprivate var hasDisplay: Bool {
    if case .computer(let computer) = guest { computer.display != nil } else { false }
  }
}
