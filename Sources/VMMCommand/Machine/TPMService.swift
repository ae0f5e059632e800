internal import Devices
internal import MachineSpecification
internal import VMM

/// The emulator behind a machine's TPM, for as long as the run lasts: machines come and go.
final class TPMService: Sendable {
  private let end: @Sendable () -> Void
  /// What the machines have.
  let configuration: TPMConfiguration

  /// Starts or joins the emulator: on the main thread, before the sandbox closes and before guest
  /// memory is mapped.
  ///
  /// - Parameters:
  ///   - isReceived: the machine comes from another process, which has the emulator's files.
  ///   - mayMove: somebody can ask the machine to go to another process.
  ///   - messages: gets a line if the emulator fails while a guest runs.
  init(
    _ spec: TPMSpec, isReceived: Bool, mayMove: Bool, _ messages: RateLimitedDiagnostics
  ) throws(TPMEmulatorError) {
    let report: @Sendable (String) -> Void = { messages.report($0) }
    switch spec {
    case .directory(let path):
      let tpm = try PassableTPM(
        directory: HostPath(argument: path), isReceived: isReceived, mayMove: mayMove,
        onFailure: report)
      end = { tpm.stop() }
      configuration = TPMConfiguration(tpm)
    case .socket(let path):
      let emulator = try TPMEmulator(joining: HostPath(argument: path), onFailure: report)
      end = { emulator.shutDown() }
      configuration = TPMConfiguration(emulator)
    }
  }

  /// Has the emulator end itself: no machine runs any more.
  func stop() { end() }
}
