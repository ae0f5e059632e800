internal import HostSystem

/// A wire to the interrupt controller. Level lines stay as set; an edge is set(true) then
/// set(false).
///
/// Devices call it with their own lock held, so that the wire follows the registers in order: a
/// line must not call back into the device.
public protocol InterruptLine: AnyObject, Sendable {
  /// Drives the wire; setting it as it is changes nothing.
  func set(_ isAsserted: Bool)
}

/// A device's end of a wire: forwards only level changes; each may be a system call.
///
/// It lies with the registers under the device's lock, so that the wire follows them in order.
package struct DrivenLine: Sendable {
  private let line: (any InterruptLine)?
  private var isAsserted = false

  /// The end of a wire that is low; nil for a pin that is not connected.
  package init(_ line: (any InterruptLine)?) {
    self.line = line
  }

  package mutating func set(_ isAsserted: Bool) {
    guard isAsserted != self.isAsserted else { return }
    self.isAsserted = isAsserted
    line?.set(isAsserted)
  }
}

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
