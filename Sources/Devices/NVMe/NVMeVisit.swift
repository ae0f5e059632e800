internal import HostSystem

/// What a thread keeps in mind while it serves a queue, command after command.
struct NVMeVisit {
  /// Commands until other queues have their turn.
  static let commandCount = 64
  /// Completions that one interrupt may tell: the first of them waits for the last.
  static let silentCommandCount = 8
  /// The same in bytes that were moved, as these take time.
  static let silentByteCount: UInt64 = 64 << 10

  private var doneCount = 0
  private var silentCount = 0
  private var silentBytes: UInt64 = 0
  private var vectors: [Int] = []
  private var sleepCount: Int?

  /// Whether there may be another command.
  var hasTime: Bool { doneCount < Self.commandCount }

  /// Whether the guest is to hear of what is done, whatever else there is to do.
  var mustSignal: Bool {
    silentCount >= Self.silentCommandCount || silentBytes >= Self.silentByteCount
  }

  /// Takes note of a command that is done, and of the vectors that tell it.
  ///
  /// - Parameter byteCount: what it moved.
  mutating func count(byteCount: UInt64, _ vectors: [Int]) {
    doneCount += 1
    silentCount += 1
    silentBytes += byteCount
    for vector in vectors where !self.vectors.contains(vector) { self.vectors.append(vector) }
  }

  /// The vectors to signal, each once.
  mutating func takeVectors() -> [Int] {
    defer { vectors = [] }
    silentCount = 0
    silentBytes = 0
    return vectors
  }

  /// Whether the thread slept since this was asked last; the first answer of a visit is no.
  mutating func hasSlept() -> Bool {
    let now = HostThread.sleepCount
    defer { sleepCount = now }
    return sleepCount.map { $0 != now } ?? false
  }
}
