public import DeviceKit
internal import HostSystem

/// The TPM of a machine that may move: swtpm, and another that waits until it is needed.
///
/// Of two processes one has the state's files: swtpm locks them at its power-on, and lets go of
/// them only when it ends. So it ends when the machine is let go, and the destination's takes
/// the files and the state, which came with the machine's. If the machine stays after all, it gets
/// the one that waited, as a confined process starts none: a second failure has no third.
///
/// Any thread, as `TPMBackend` says; `letGo` and `takeUp` while the machine is paused, or before it
/// runs.
public final class PassableTPM: TPMBackend, PassableFile {
  private enum Holding: Sendable {
    /// It is another process's, and will come.
    case nothing
    case all
    /// It was let go, and was this; nil if the emulator did not say.
    case left([UInt8]?)
  }

  private struct State: Sendable {
    var program: SoftwareTPM
    var spare: SoftwareTPM?
    /// Those that were told to end, kept until `stop`: to wait for them takes calls that the
    /// sandbox does not have.
    var ended: [SoftwareTPM] = []
    var holding: Holding
  }

  private let state: Guarded<State>
  private let name: String

  /// Starts the programs: on the main thread, before guest memory is mapped.
  ///
  /// - Parameters:
  ///   - isReceived: the machine comes from another process, which has the directory until then.
  ///   - mayMove: another one is started that waits.
  ///   - onFailure: gets one line if the TPM fails later.
  public init(
    directory: HostPath, isReceived: Bool, mayMove: Bool,
    onFailure: @escaping @Sendable (String) -> Void
  ) throws(TPMEmulatorError) {
    name = "the TPM's directory \(directory)"
    let program = try SoftwareTPM(
      directory: directory, waits: isReceived, onFailure: onFailure)
    let spare =
      mayMove ? try SoftwareTPM(directory: directory, waits: true, onFailure: onFailure) : nil
    state = Guarded(
      State(program: program, spare: spare, holding: isReceived ? .nothing : .all))
  }

  /// The one that the machine has now.
  var program: SoftwareTPM { state.withLock { $0.program } }
  private var emulator: TPMEmulator { program.emulator }

  /// The one that waits.
  var spare: SoftwareTPM? { state.withLock { $0.spare } }

  /// Ends them: no machine runs any more.
  public func stop() {
    let programs = state.withLock { state in
      [state.program] + state.ended + (state.spare.map { [$0] } ?? [])
    }
    for program in programs { program.stop() }
  }

  // MARK: TPMBackend

  public func begin() { emulator.begin() }
  public func restart() { emulator.restart() }
  public func answer(_ command: [UInt8]) -> [UInt8]? { emulator.answer(command) }
  public func setCancels(_ cancels: Bool) { emulator.setCancels(cancels) }
  public func end() { emulator.end() }

  public func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try emulator.transferState(&transfer)
  }

  // MARK: PassableFile

  public var obstacle: String? {
    spare == nil
      ? "\(name) was let go before and taken back, and no swtpm is left that could take it back"
        + " again: end the machine and start it anew, or save it"
      : nil
  }

  public func letGo() {
    let program = program
    if program.emulator.isWaiting {
      // A destination that has the directory, and not the state.
      state.withLock { $0.holding = .nothing }
    } else {
      var transfer = StateTransfer()
      let isWhole = (try? program.emulator.transferState(&transfer)) != nil
      state.withLock { $0.holding = .left(isWhole ? transfer.bytes : nil) }
    }
    program.letGoOfDirectory()
  }

  public func takeUp() throws {
    let state = state.withLock { $0 }
    switch state.holding {
    case .all: break
    case .nothing:
      // The state comes with that of the other devices.
      try state.program.takeDirectory()
      self.state.withLock { $0.holding = .all }
    case .left(let bytes):
      guard let spare = state.spare else { return }
      try spare.takeDirectory()
      // Without the state it stays with the one that has ended: commands fail, and no TPM has
      // forgotten what was measured.
      guard let bytes, (try? spare.emulator.restore(bytes)) != nil else { return }
      // The machine goes on, and nobody powers it on.
      spare.emulator.restart()
      self.state.withLock { state in
        state.ended.append(state.program)
        (state.program, state.spare, state.holding) = (spare, nil, .all)
      }
    }
  }
}

extension TPMEmulator {
  /// Has it be what was saved.
  fileprivate func restore(_ bytes: [UInt8]) throws(StateError) {
    var transfer = StateTransfer(restoring: bytes)
    try transferState(&transfer)
  }
}
