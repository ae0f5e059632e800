/// A device's end of a wire: passes changes on, and nothing else, for each may cost a system call.
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
