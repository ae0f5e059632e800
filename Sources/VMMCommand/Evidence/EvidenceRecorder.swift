internal import ControlAPI
internal import Devices
internal import Glibc
internal import HostSystem
internal import HyperVCore
internal import MachineSpecification
internal import VMM

/// Records what a run's guest does: `--evidence`. Each second a sample and a look at the registers,
/// after the first and each ten a screenshot if it is another one, each hypercall when it is made.
///
/// A disk that is full ends the record and not the run. Any thread.
final class EvidenceRecorder: Sendable {
  /// A quarter of an hour with a sample a second, and an hour at every tenth, and so on: bounded.
  static let denseSampleCount = 900
  static let sampleLimit = 5000
  static let registerLimit = 20_000
  static let hypercallLimit = 200_000
  static let screenLimit = 120
  private static let secondsBetweenScreens = 10

  private struct State {
    var machine: Machine?
    var life = 0
    var registers: [SyntheticRegister] = []
    var sampleCount = 0
    var registerLineCount = 0
    var hypercallCount = 0
    var screenCount = 0
    var lastScreen: [UInt8] = []
    var failure: SystemError?
  }

  /// The run's directory, where the sandbox has to let it write.
  let path: String
  private let parts: ControlledRun.Parts
  private let start = HostClock.monotonicNanoseconds()
  private let hypercalls: HypercallTrace
  private let samples: LogFile
  private let registers: LogFile
  private let ends: Event
  private let state = Guarded(State())
  private let thread = Guarded<HostThread?>(nil)

  /// Makes the run's directory and its files. Before the sandbox closes.
  init(
    _ directory: EvidenceDirectory, of machine: MachineSpec, _ parts: ControlledRun.Parts
  ) throws {
    path = try directory.makeRun()
    self.parts = parts
    ends = try Event()
    hypercalls = HypercallTrace(try Self.file(.hypercalls, in: path))
    samples = try Self.file(.samples, in: path)
    registers = try Self.file(.registers, in: path)
    try write(.about, EvidenceDescription(machine).value)
  }

  private static func file(
    _ file: EvidenceFile, in path: String
  ) throws(LogFile.Failure) -> LogFile {
    try LogFile(LogFileSpec(file: "\(path)/\(file.rawValue)"))
  }

  /// Starts to look, in the sandbox.
  func begin(onThreadStart: @escaping @Sendable () -> Void) throws(MachineError) {
    do throws(HostThread.Failure) {
      let thread = try HostThread { [self] in
        onThreadStart()
        var second = 0
        while !ends.wait(seconds: 1) {
          second += 1
          look(second)
        }
      }
      self.thread.withLock { $0 = thread }
    } catch {
      throw .noThread("a thread", code: error.code)
    }
    Diagnostics.report("evidence: \(path)")
  }

  /// A machine begins to run; the one before has ended.
  func begin(_ machine: Machine) {
    state.withLock { state in
      state.machine = machine
      state.life += 1
      state.registers = []
    }
  }

  /// It has ended: a last look.
  func end(_ machine: Machine) {
    look(nil)
    state.withLock { $0.machine = nil }
  }

  /// On a vCPU's thread.
  func record(_ record: HypercallRecord) {
    let isKept = state.withLock { state in
      state.hypercallCount += 1
      return state.hypercallCount <= Self.hypercallLimit
    }
    if isKept { hypercalls.record(record) }
  }

  /// The run is over.
  ///
  /// - Parameters:
  ///   - outcome: how it ended, in words.
  ///   - unclaimed: lines for `unclaimed.txt`.
  func finish(_ outcome: String, unclaimed: [String]) {
    ends.raise()
    thread.withLock({ $0.take() })?.join()
    let seen = state.withLock { $0 }
    do throws(SystemError) {
      try write(.unclaimed, unclaimed.map { $0 + "\n" }.joined())
      try write(
        .outcome,
        .members([
          ("seconds", .number(seconds)), ("outcome", .text(outcome)),
          ("lives", .integer(Int64(seen.life))),
          ("hypercalls", .integer(Int64(seen.hypercallCount))),
          ("samples", .integer(Int64(seen.sampleCount))),
        ]))
      try hypercalls.finish()
      if let failure = seen.failure { throw failure }
    } catch {
      Diagnostics.report("the evidence is not complete: \(error)")
    }
  }

  private var seconds: Double {
    Double((HostClock.monotonicNanoseconds() &- start) / 1_000_000) / 1000
  }

  /// - Parameter second: since the run began; nil for a machine that has ended, whose vCPUs tell
  ///   nothing any more.
  private func look(_ second: Int?) {
    let (machine, life) = state.withLock { ($0.machine, $0.life) }
    guard let machine else { return }
    let isDense = state.withLock { $0.sampleCount < Self.denseSampleCount }
    if second.map({ isDense || $0.isMultiple(of: 10) }) ?? true {
      // Threads that have ended have no time any more.
      sample(machine, life, second == nil ? [] : machine.vcpuThreadIDs)
    }
    guard let second else { return }
    note(machine, life)
    if second == 1 || second.isMultiple(of: Self.secondsBetweenScreens) {
      takePicture(of: machine, second)
    }
  }

  private func sample(_ machine: Machine, _ life: Int, _ threadIDs: [Int32]) {
    let ticks = threadIDs.map { ThreadTicks.sum(of: [$0]) }
    let line: JSONValue = .members(
      [
        ("time", .number(seconds)), ("life", .integer(Int64(life))),
        (
          "vcpu_ticks",
          .array(
            ticks.map { .members([("user", .count($0.user)), ("system", .count($0.system))]) })
        ),
      ] + parts.counters(of: machine).machineMembers)
    let isWanted = state.withLock { state in
      state.sampleCount += 1
      return state.sampleCount <= Self.sampleLimit
    }
    if isWanted { append(line, to: samples) }
  }

  /// Notes the registers that have changed since the last look.
  private func note(_ machine: Machine, _ life: Int) {
    guard let now = try? machine.syntheticRegisters() else { return }
    let time = seconds
    let changed = state.withLock { state -> [SyntheticRegister] in
      let before = Set(state.registers)
      let changed = now.filter { register in
        !before.contains(register)
          // What is zero from the beginning was not turned on.
          && (register.value != 0
            || before.contains { $0.msr == register.msr && $0.vcpuID == register.vcpuID })
      }
      // A vCPU that did not come in time keeps what it had.
      let seen = Set(now.map { [$0.vcpuID ?? .max, $0.msr.rawValue] })
      state.registers =
        now + state.registers.filter { !seen.contains([$0.vcpuID ?? .max, $0.msr.rawValue]) }
      state.registerLineCount += changed.count
      return state.registerLineCount <= Self.registerLimit ? changed : []
    }
    for register in changed {
      append(
        .members([
          ("time", .number(time)), ("life", .integer(Int64(life))),
          ("vcpu", register.vcpuID.map { .integer(Int64($0)) } ?? .null),
          ("msr", .text(register.msr.description)),
          ("value", .text("0x" + String(register.value, radix: 16))),
        ]), to: registers)
    }
  }

  private func takePicture(of machine: Machine, _ second: Int) {
    guard let display = machine.computer?.display,
      let picture = Screenshot.picture(of: display)
    else { return }
    let isNew = state.withLock { state in
      guard state.lastScreen != picture, state.screenCount < Self.screenLimit else { return false }
      state.lastScreen = picture
      state.screenCount += 1
      return true
    }
    guard isNew else { return }
    keepFailure { () throws(SystemError) in
      try write(EvidenceFile.screen(atSecond: second), picture)
    }
  }

  /// Adds a whole line, or nothing.
  private func append(_ line: JSONValue, to file: LogFile) {
    keepFailure { () throws(SystemError) in
      var writer = file.writer(.ofProcess)
      var writtenCount = 0
      switch writer.write(Array((line.compactText + "\n").utf8), count: &writtenCount) {
      case .written: return
      case .lost: throw SystemError("write \(file.path)", code: EAGAIN)
      case .failed(let error):
        file.removeLast(writtenCount)
        throw error
      }
    }
  }

  private func write(_ file: EvidenceFile, _ value: JSONValue) throws(SystemError) {
    try write(file, value.text() + "\n")
  }

  private func write(_ file: EvidenceFile, _ text: String) throws(SystemError) {
    try write(file.rawValue, Array(text.utf8))
  }

  private func write(_ name: String, _ bytes: [UInt8]) throws(SystemError) {
    let file = try OutputFile.open(
      "\(path)/\(name)", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, named: name)
    var writer = PatientWriter(
      descriptor: file.rawValue, name: name, policy: .waits(.ofProcess))
    if case .failed(let error) = writer.write(bytes) { throw error }
  }

  /// The first failure is told at the end; what comes after it is not tried.
  private func keepFailure(_ action: () throws(SystemError) -> Void) {
    guard state.withLock({ $0.failure == nil }) else { return }
    do throws(SystemError) {
      try action()
    } catch {
      state.withLock { $0.failure = $0.failure ?? error }
    }
  }
}
