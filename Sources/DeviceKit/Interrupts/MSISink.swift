/// Where message-signalled interrupts go.
public protocol MSISink: AnyObject, Sendable {
  /// Delivers a message, from any thread. The guest composed it: nonsense is dropped.
  func send(_ message: MSIMessage)
}
