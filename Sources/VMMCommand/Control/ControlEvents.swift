internal import ControlAPI
internal import HostSystem
internal import MachineSpecification

/// Where events of a run wait for the thread that serves clients. Any thread, vCPUs' too: it takes
/// a lock for a moment and waits for nobody. Without somebody who takes them nothing is kept.
final class ControlEvents: Sendable {
  /// For the moment until the thread takes them; a client has its own.
  private static let limit = 512

  private struct State {
    var backlog = EventBacklog(limit: ControlEvents.limit)
    /// Called with the lock held when something is there.
    var wake: (@Sendable () -> Void)?
  }

  private let state = Guarded(State())
  private let start = HostClock.monotonicNanoseconds()

  var uptimeSeconds: Double { Double(HostClock.monotonicNanoseconds() &- start) / 1e9 }

  /// - Parameter wake: called for every event; may not wait. Nil: nobody takes events any more.
  func setListener(_ wake: (@Sendable () -> Void)?) {
    state.withLock { $0.wake = wake }
  }

  func post(_ event: ControlEvent) {
    state.withLock { [event = stamped(event)] state in
      guard let wake = state.wake else { return }
      state.backlog.add(event)
      wake()
    }
  }

  /// The same event with its time.
  func stamped(_ event: ControlEvent) -> ControlEvent {
    var event = event
    event.nanoseconds = HostClock.monotonicNanoseconds() &- start
    return event
  }

  func take() -> (events: [ControlEvent], lostCount: UInt64) {
    state.withLock { $0.backlog.take() }
  }
}

/// How often each hypercall was made. A guest makes as many codes as it likes: those without a name
/// count as one. Any thread.
final class HypercallCounts: Sendable {
  private let state = Guarded<[MachineCounters.Hypercall]>([])

  func note(_ record: HypercallRecord) {
    let name = record.name.hasPrefix("Hv") ? record.name : "other"
    state.withLock { calls in
      let index = calls.firstIndex { $0.name == name } ?? calls.endIndex
      if index == calls.endIndex { calls.append(MachineCounters.Hypercall(name)) }
      calls[index].count += 1
      if record.status != 0 { calls[index].failures += 1 }
    }
  }

  var counts: [MachineCounters.Hypercall] { state.withLock { $0 } }
}
