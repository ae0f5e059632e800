internal import Devices
internal import MachineSpecification
internal import VMM

/// The emulator behind a machine's TPM, for as long as the run lasts: machines come and go.
final class TPMService: Sendable {
  /// Nil for one that was joined.
  private let program: SoftwareTPM?
  private let emulator: TPMEmulator
  /// What the machines have.
  let configuration: TPMConfiguration

  /// Starts or joins the emulator: on the main thread, before the sandbox closes and before guest
  /// memory is mapped.
  ///
  /// - Parameter messages: gets a line if the emulator fails while a guest runs.
  init(_ spec: TPMSpec, _ messages: RateLimitedDiagnostics) throws(TPMEmulatorError) {
    let report: @Sendable (String) -> Void = { messages.report($0) }
    switch spec {
    case .directory(let path):
      let program = try SoftwareTPM(directory: HostPath(argument: path), onFailure: report)
      self.program = program
      emulator = program.emulator
    case .socket(let path):
      program = nil
      emulator = try TPMEmulator(joining: HostPath(argument: path), onFailure: report)
    }
    configuration = TPMConfiguration(emulator)
  }

  /// Has the emulator end itself: no machine runs any more.
  func stop() {
    if let program { program.stop() } else { emulator.shutDown() }
  }
}
