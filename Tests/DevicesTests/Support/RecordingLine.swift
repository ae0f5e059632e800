import Devices
import Synchronization

/// A wire that remembers its state and counts rising edges.
final class RecordingLine: InterruptLine {
  private struct State {
    var isAsserted = false
    var edgeCount = 0
    var idleCallCount = 0
  }

  private let state = Mutex(State())

  var isAsserted: Bool { state.withLock { $0.isAsserted } }
  var edgeCount: Int { state.withLock { $0.edgeCount } }
  /// Calls that changed nothing: each may cost a system call.
  var idleCallCount: Int { state.withLock { $0.idleCallCount } }

  func set(_ isAsserted: Bool) {
    state.withLock { state in
      if isAsserted == state.isAsserted { state.idleCallCount += 1 }
      if isAsserted && !state.isAsserted { state.edgeCount += 1 }
      state.isAsserted = isAsserted
    }
  }
}
