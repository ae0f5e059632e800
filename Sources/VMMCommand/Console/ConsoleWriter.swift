import Synchronization

/// Writes a console's output, from any thread, and reports the first failure.
final class ConsoleWriter: Sendable {
  private struct State {
    var writer: PatientWriter
    var hasFailed = false
  }

  private let report: @Sendable (SystemError) -> Void
  /// Held while waiting, so that the bytes of two calls never mix.
  private let state: Mutex<State>

  init(_ writer: PatientWriter, report: @escaping @Sendable (SystemError) -> Void) {
    self.report = report
    state = Mutex(State(writer: writer))
  }

  func write(_ bytes: [UInt8]) {
    let failure = state.withLock { state -> SystemError? in
      guard !state.hasFailed, case .failed(let error) = state.writer.write(bytes) else {
        return nil
      }
      state.hasFailed = true
      return error
    }
    if let failure { report(failure) }
  }
}
