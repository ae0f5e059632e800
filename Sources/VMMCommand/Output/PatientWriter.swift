import Glibc

/// Writes to a descriptor that does not always take it at once. One thread at a time.
///
/// The descriptor is the owner's, who keeps it open for as long as this lives.
struct PatientWriter {
  /// What to do about a reader that is slow or gone.
  enum Policy: Sendable {
    /// Wait for it, as long as the patience lasts.
    case waits(OutputPatience)
    /// Perhaps there is no reader, now or ever: what is not read within `patienceMilliseconds` is
    /// lost, and so is all that follows, at once, until something is read again. No failure is
    /// reported.
    case loses(patienceMilliseconds: Int32)
  }

  enum Outcome: Equatable {
    case written
    /// The reader did not take all of it in time; what it took is a beginning.
    case lost
    case failed(SystemError)
  }

  /// What a pipe takes without waiting once it is ready, and little enough for a terminal.
  private static let chunkByteCount = 512
  /// For a terminal that says it is ready and then takes nothing, as it does for a line break with
  /// room for one of its two characters.
  private static let retryMilliseconds: Int32 = 10

  let descriptor: Int32
  let name: String
  var policy: Policy
  /// Whether a write never waits in the kernel: the descriptor is non-blocking, or a regular
  /// file's. Then it can be tried before any wait for room, and in one piece.
  var neverBlocks = false
  /// Whether the last wait was in vain.
  private(set) var isStalled = false

  init(descriptor: Int32, name: String, policy: Policy, neverBlocks: Bool = false) {
    self.descriptor = descriptor
    self.name = name
    self.policy = policy
    self.neverBlocks = neverBlocks
  }

  mutating func write(_ bytes: [UInt8]) -> Outcome {
    var written = 0
    return write(bytes, count: &written)
  }

  /// The same, and counts the bytes that were taken, also of what failed later.
  mutating func write(_ bytes: [UInt8], count written: inout Int) -> Outcome {
    written = 0
    // A guest writes byte by byte; there nearly always is room.
    var waitsFirst = !neverBlocks
    var retryCount: Int32 = 0
    while written < bytes.count {
      if waitsFirst, !waitForRoom() { return .lost }
      let limit = neverBlocks ? bytes.count : written + Self.chunkByteCount
      let end = min(bytes.count, limit)
      // SAFETY: the range lies inside the buffer, which lives for the call.
      let count = unsafe bytes.withUnsafeBytes { buffer in
        unsafe Glibc.write(descriptor, buffer.baseAddress! + written, end - written)
      }
      let code = errno
      if count > 0 {
        written += count
        isStalled = false
      } else if code == EAGAIN && !waitsFirst {
        waitsFirst = true
      } else if count == 0 || code == EAGAIN {
        guard retryCount < retryLimit else { return .lost }
        retryCount += 1
        // Nothing says when it will.
        _ = OutputPatience.events(on: -1, within: Self.retryMilliseconds)
      } else if code != EINTR {
        if case .loses = policy { return .lost }
        return .failed(SystemError("write \(name)", code: code))
      }
    }
    return .written
  }

  /// False when the rest is given up.
  private mutating func waitForRoom() -> Bool {
    switch policy {
    case .waits(let patience):
      isStalled = !patience.waitForRoom(on: descriptor, isStalled: isStalled)
    case .loses(let milliseconds):
      let events = OutputPatience.events(on: descriptor, within: isStalled ? 0 : milliseconds)
      if events & Int16(POLLHUP) != 0 { return false }
      isStalled = events & Int16(POLLOUT) == 0
    }
    return !isStalled
  }

  /// How often one write may be tried again.
  private var retryLimit: Int32 {
    switch policy {
    case .waits(let patience):
      patience.isShortened ? OutputPatience.lastMilliseconds / Self.retryMilliseconds : .max
    case .loses(let milliseconds): milliseconds / Self.retryMilliseconds
    }
  }
}
