internal import MachineSpecification
internal import Synchronization

/// The one line a run with an operating system ends with: what was reported to it as zero, when,
/// and how much of its memory the host had to find.
final class BootSummary: Sendable {
  private struct State: Sendable {
    var hasBegun = false
    var memory = ByteCount(0)
    var start = ContinuousClock.now
    var reportedBytes: UInt64?
    var rangeCount = 0
    var answeredAfter = Duration.zero
    var residentBytes: UInt64?
  }

  private let state = Mutex(State())

  /// A machine begins; reports to the one before it do not count any more.
  func begin(memory: ByteCount) {
    state.withLock {
      $0 = State()
      $0.hasBegun = true
      $0.memory = memory
    }
  }

  /// Notes the largest answer to 0x8002, which is the first unless memory was given back.
  func note(_ record: HypercallRecord) {
    guard let ranges = record.ranges else { return }
    let bytes = ranges.reduce(0) { $0 + $1.pageCount * 4096 }
    state.withLock { state in
      guard bytes > state.reportedBytes ?? 0 || state.reportedBytes == nil else { return }
      state.reportedBytes = bytes
      state.rangeCount = ranges.count
      state.answeredAfter = state.start.duration(to: .now)
    }
  }

  /// The machine has ended.
  func end(residentByteCount: UInt64?) {
    state.withLock { $0.residentBytes = residentByteCount }
  }

  /// Nil if no machine began.
  var text: String? {
    let state = state.withLock { $0 }
    guard state.hasBegun else { return nil }
    let resident = state.residentBytes.map { "; resident \(ByteCount($0))" } ?? ""
    guard let bytes = state.reportedBytes else {
      return "the guest did not ask which of its \(state.memory) are zero\(resident)"
    }
    let seconds =
      Double(state.answeredAfter.components.seconds)
      + Double(state.answeredAfter.components.attoseconds) / 1e18
    return "reported as zero \(ByteCount(bytes)) of \(state.memory) in"
      + " \(DecimalText.counted(UInt64(state.rangeCount), "range")),"
      + " \(DecimalText.seconds(seconds)) after the start\(resident)"
  }
}
