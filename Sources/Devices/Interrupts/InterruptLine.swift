/// A level-triggered interrupt input.
public protocol InterruptLine: AnyObject, Sendable {
  /// Raises or lowers the line. Any thread; repeating a level changes nothing.
  func set(_ isAsserted: Bool)
}
