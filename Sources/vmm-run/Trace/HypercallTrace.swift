import Glibc
import Synchronization

/// Writes a line of JSON per hypercall to a file, from any thread.
///
/// Each line is one write(2), so every line in the file is whole even when this process is killed,
/// and another program can follow the file. A full disk does not stop the guest: tracing ends at
/// the last whole line, and `finish` says why.
final class HypercallTrace: Sendable {
  private struct State {
    /// Nil once finished.
    var descriptor: Int32?
    var failure: SystemError?
    /// The bytes of all whole lines.
    var byteCount = 0
  }

  private let path: String
  private let now: @Sendable () -> UInt64
  private let start: UInt64
  private let state: Mutex<State>

  /// Empties or creates the file. Time counts from here.
  init(
    path: String, now: @escaping @Sendable () -> UInt64 = MonotonicClock.nanoseconds
  ) throws(SystemError) {
    let descriptor = try OutputFile.open(
      path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, named: path)
    self.path = path
    self.now = now
    start = now()
    state = Mutex(State(descriptor: descriptor))
  }

  deinit {
    state.withLock { Self.close(&$0) }
  }

  /// Appends one line. The clock is read under the lock, so lines are in the order of their times.
  func record(_ record: HypercallRecord) {
    state.withLock { state in
      guard let descriptor = state.descriptor, state.failure == nil else { return }
      let line = record.line(nanosecondsSinceStart: now() &- start)
      do throws(SystemError) {
        try OutputFile.write(line, to: descriptor, named: path)
        state.byteCount += line.utf8.count
      } catch {
        state.failure = error
        // A part of the line may be there. Not possible for a pipe, where it does not matter.
        _ = ftruncate(descriptor, state.byteCount)
      }
    }
  }

  /// Closes the file; reports the first line that could not be written. Later records are dropped.
  func finish() throws(SystemError) {
    let failure = state.withLock { state in
      Self.close(&state)
      return state.failure
    }
    if let failure { throw failure }
  }

  private static func close(_ state: inout sending State) {
    if let descriptor = state.descriptor { Glibc.close(descriptor) }
    state.descriptor = nil
  }
}
