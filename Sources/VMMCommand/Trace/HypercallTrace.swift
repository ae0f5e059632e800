import Glibc
import HostSystem
import Synchronization

/// Writes a line of JSON per hypercall to a file, from any thread.
///
/// Each line is one write(2), so every line in the file is whole even when this process is killed,
/// and another program can follow the file. A full disk does not stop the guest: tracing ends at
/// the last whole line, and `finish` says why.
final class HypercallTrace: Sendable {
  private struct State {
    /// Nil once finished.
    var file: LogFile?
    var writer: PatientWriter
    var hasBegun = false
    var failure: SystemError?
  }

  private let now: @Sendable () -> UInt64
  private let start: UInt64
  private let state: Mutex<State>

  /// Takes the file's place as its only writer. Time counts from here.
  init(
    _ file: LogFile, patience: OutputPatience = .ofProcess,
    now: @escaping @Sendable () -> UInt64 = HostClock.monotonicNanoseconds
  ) {
    self.now = now
    start = now()
    state = Mutex(State(file: file, writer: file.writer(patience)))
  }

  /// Empties the file, unless it is in append mode. A machine is made: what is called again,
  /// for the next one, changes nothing.
  func begin() throws(SystemError) {
    try state.withLock { state throws(SystemError) in
      guard !state.hasBegun else { return }
      state.hasBegun = true
      try state.file?.begin()
    }
  }

  /// Appends one line. The clock is read under the lock, so lines are in the order of their times.
  func record(_ record: HypercallRecord) {
    state.withLock { state in
      guard let file = state.file, state.failure == nil else { return }
      let line = record.line(nanosecondsSinceStart: now() &- start)
      var writtenCount = 0
      switch state.writer.write(Array(line.utf8), count: &writtenCount) {
      case .written: break
      case .lost:
        state.failure = SystemError(
          "write \(file.path)", code: EAGAIN, cure: "the trace ends where its reader stopped")
      case .failed(let error):
        state.failure = error
        file.removeLast(writtenCount)
      }
    }
  }

  /// Finishes a run's trace: a trace that is not complete turns its success into a failure.
  func end(_ status: ExitStatus) -> ExitStatus {
    do throws(SystemError) {
      try finish()
      return status
    } catch {
      Diagnostics.report(error)
      return status.code == 0 ? .failure : status
    }
  }

  /// Closes the file; reports the first line that could not be written. Later records are dropped.
  func finish() throws(SystemError) {
    let failure = state.withLock { state in
      state.file = nil
      return state.failure
    }
    if let failure { throw failure }
  }
}
