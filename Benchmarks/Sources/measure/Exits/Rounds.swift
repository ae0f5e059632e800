import Synchronization
import VMM

/// Times rounds of exits of the VMM and of the floor, in turn and on the same thread: the floor has
/// its round while the VMM's guest waits for the answer to the `out` that begins its own.
final class Rounds: Sendable {
  private struct State {
    var remaining: Int
    var isFirst: Bool
    var start: ContinuousClock.Instant?
    var vmm = Samples()
    var floor = Samples()
  }

  private let state: Mutex<State>
  private let floor: ExitFloor?
  private let control: MachineControl

  /// - Parameters:
  ///   - count: of rounds that count.
  ///   - warmsUp: whether one more comes first, for caches and for pages that fault.
  ///   - floor: nil to run the VMM alone, as for counting its instructions.
  init(count: Int, warmsUp: Bool = true, floor: ExitFloor?, control: MachineControl) {
    state = Mutex(State(remaining: warmsUp ? count + 1 : count, isFirst: warmsUp))
    self.floor = floor
    self.control = control
  }

  var samples: (vmm: Samples, floor: Samples) {
    state.withLock { ($0.vmm, $0.floor) }
  }

  func begin() {
    state.withLock { state in
      if state.remaining == 0 { return control.end(with: .stopped) }
      state.remaining -= 1
      if let floor {
        guard let time = floor.round() else { return control.end(with: .exited(status: 1)) }
        if !state.isFirst { state.floor.add(nanoseconds: time) }
      }
      state.start = ContinuousClock().now
    }
  }

  func end() {
    let now = ContinuousClock().now
    state.withLock { state in
      if let start = state.start, !state.isFirst { state.vmm.add(start.duration(to: now)) }
      state.isFirst = false
    }
  }
}
