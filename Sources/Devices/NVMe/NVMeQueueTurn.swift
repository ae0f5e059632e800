internal import HostSystem

/// One turn of a thread at a queue: a bounded number of commands, their interrupts coalesced.
struct NVMeQueueTurn {
  /// Commands until other queues have their turn.
  static let commandCount = 64
  /// Completions that one interrupt may announce: the first of them waits for the last.
  static let coalescedCommandCount = 8
  /// The same in bytes that were moved, as these take time.
  static let coalescedByteCount: UInt64 = 64 << 10

  private var doneCount = 0
  private var pendingCount = 0
  private var pendingByteCount: UInt64 = 0
  private var vectors: [Int] = []
  private var sleepCount: Int?

  /// Whether there may be another command.
  var hasTime: Bool { doneCount < Self.commandCount }

  /// Whether to interrupt now, whatever else there is to do.
  var mustSignal: Bool {
    pendingCount >= Self.coalescedCommandCount || pendingByteCount >= Self.coalescedByteCount
  }

  /// Counts a completed command, and collects the vectors of its completion.
  ///
  /// - Parameter byteCount: what it moved.
  mutating func count(byteCount: UInt64, _ vectors: [Int]) {
    doneCount += 1
    pendingCount += 1
    pendingByteCount += byteCount
    for vector in vectors where !self.vectors.contains(vector) { self.vectors.append(vector) }
  }

  /// The vectors to signal, each once.
  mutating func takeVectors() -> [Int] {
    defer { vectors = [] }
    pendingCount = 0
    pendingByteCount = 0
    return vectors
  }

  /// Whether the thread slept since this was asked last; the first answer of a turn is no.
  mutating func hasSlept() -> Bool {
    let now = HostThread.sleepCount
    defer { sleepCount = now }
    return sleepCount.map { $0 != now } ?? false
  }
}
