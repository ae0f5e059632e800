import Devices
import Synchronization

/// A wire that remembers its state and counts rising edges.
final class RecordingLine: InterruptLine {
  private struct State {
    var isAsserted = false
    var edgeCount = 0
  }

  private let state = Mutex(State())

  var isAsserted: Bool { state.withLock { $0.isAsserted } }
  var edgeCount: Int { state.withLock { $0.edgeCount } }

  func set(_ isAsserted: Bool) {
    state.withLock { state in
      if isAsserted && !state.isAsserted { state.edgeCount += 1 }
      state.isAsserted = isAsserted
    }
  }
}
