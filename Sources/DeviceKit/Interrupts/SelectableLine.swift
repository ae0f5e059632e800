internal import HostSystem

/// A wire that firmware leads to one of several inputs of the interrupt controller.
public final class SelectableLine: InterruptLine {
  private struct State {
    var selected = 0
    var isAsserted = false
  }

  private let lines: [any InterruptLine]
  private let state = Guarded(State())

  /// A wire that is led to the first of `lines`, of which there is at least one.
  public init(_ lines: [any InterruptLine]) {
    precondition(!lines.isEmpty, "a wire that leads nowhere")
    self.lines = lines
  }

  /// Drives the selected line.
  public func set(_ isAsserted: Bool) {
    state.withLock { state in
      state.isAsserted = isAsserted
      lines[state.selected].set(isAsserted)
    }
  }

  /// Leads the wire to the line numbered `index`, which is one of them, and takes its level along.
  package func select(_ index: Int) {
    state.withLock { state in
      guard index != state.selected else { return }
      if state.isAsserted { lines[state.selected].set(false) }
      state.selected = index
      if state.isAsserted { lines[index].set(true) }
    }
  }
}
