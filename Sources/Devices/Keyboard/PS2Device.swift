/// A keyboard or mouse on a PS/2 wire.
public protocol PS2Device: AnyObject, Sendable {
  /// Answers a byte from the host, in order; called with the controller's lock held, so it must not
  /// call the controller. The controller keeps a bounded number of answers.
  func answer(_ byte: UInt8) -> [UInt8]
}
