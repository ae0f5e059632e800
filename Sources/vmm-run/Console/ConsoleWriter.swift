import Glibc
import Synchronization

/// Writes a console's output to a descriptor that does not always take it at once.
///
/// The descriptor is the owner's, who keeps it open for as long as this lives.
final class ConsoleWriter: Sendable {
  /// What to do about a reader that is slow or gone.
  enum Policy: Sendable {
    /// Wait for the reader; nothing is lost before the stop signal.
    case waits
    /// Nobody may be there, now or ever: what is not read within `patienceMilliseconds` is lost, and
    /// so is all that follows, at once, until something is read again. No failure is reported.
    case loses(patienceMilliseconds: Int32)
  }

  private struct State {
    var hasFailed = false
    /// Whether the last wait was in vain.
    var isStalled = false
  }

  /// What a pipe takes without waiting once it is ready, and little enough for a terminal.
  private static let chunkByteCount = 512
  /// For a terminal that says it is ready and then takes nothing, as it does for a line break with
  /// room for one of its two characters.
  private static let retryMilliseconds: Int32 = 10

  private let descriptor: Int32
  private let name: String
  private let policy: Policy
  /// Whether a write never waits in the kernel, so that it can be tried before any wait for room.
  private let neverBlocks: Bool
  private let stopSignal: StopSignal
  private let report: @Sendable (SystemError) -> Void
  /// Held while waiting, so that the bytes of two calls never mix.
  private let state = Mutex(State())

  /// - Parameter neverBlocks: The descriptor is non-blocking, or a regular file's.
  init(
    descriptor: Int32, name: String, policy: Policy = .waits, neverBlocks: Bool = false,
    stopSignal: StopSignal, report: @escaping @Sendable (SystemError) -> Void
  ) {
    self.descriptor = descriptor
    self.name = name
    self.policy = policy
    self.neverBlocks = neverBlocks
    self.stopSignal = stopSignal
    self.report = report
  }

  func write(_ bytes: [UInt8]) {
    let failure = state.withLock { state in
      state.hasFailed ? nil : write(bytes, &state)
    }
    if let failure { report(failure) }
  }

  /// The first failure, unless the policy has none.
  private func write(_ bytes: [UInt8], _ state: inout State) -> SystemError? {
    var written = 0
    // A guest writes byte by byte; there nearly always is room.
    var waitsFirst = !neverBlocks
    while written < bytes.count {
      if waitsFirst {
        guard waitForRoom(&state) else { return nil }
      }
      let end = min(bytes.count, written + Self.chunkByteCount)
      // SAFETY: the range lies inside the buffer, which lives for the call.
      let count = unsafe bytes.withUnsafeBytes { buffer in
        unsafe Glibc.write(descriptor, buffer.baseAddress! + written, end - written)
      }
      let code = errno
      if count > 0 {
        written += count
        state.isStalled = false
      } else if code == EAGAIN && !waitsFirst {
        waitsFirst = true
      } else if count == 0 || code == EAGAIN {
        let pause = stopSignal.wait(for: 0, on: -1, timeoutMilliseconds: Self.retryMilliseconds)
        if pause.isStopped { return nil }
      } else if code != EINTR {
        guard case .waits = policy else { return nil }
        state.hasFailed = true
        return SystemError("write \(name)", code: code)
      }
    }
    return nil
  }

  /// False when the rest is to be lost.
  private func waitForRoom(_ state: inout State) -> Bool {
    switch policy {
    case .waits:
      // An error or a hang-up is found out by writing.
      return stopSignal.wait(for: POLLOUT, on: descriptor).events != 0
    case .loses(let patience):
      let ready = stopSignal.wait(
        for: POLLOUT, on: descriptor, timeoutMilliseconds: state.isStalled ? 0 : patience)
      if ready.has(POLLHUP) { return false }
      state.isStalled = !ready.has(POLLOUT)
      return !state.isStalled
    }
  }
}
