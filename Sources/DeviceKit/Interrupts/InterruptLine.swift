/// A wire to the interrupt controller. Level lines stay as set; an edge is set(true) then
/// set(false).
///
/// Devices call it with their own lock held, so that the wire follows the registers in order: a
/// line must not call back into the device.
public protocol InterruptLine: AnyObject, Sendable {
  /// Drives the wire; setting it as it is changes nothing.
  func set(_ isAsserted: Bool)
}
