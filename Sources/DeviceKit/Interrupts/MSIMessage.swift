/// A message-signalled interrupt: the write that a PCI function makes. PCI Local Bus 3.0 §6.8.
public struct MSIMessage: Hashable, Sendable {
  /// Where it is written; 0xFEEx_xxxx selects local APICs.
  public var address: UInt64
  /// What is written: vector and delivery mode.
  public var data: UInt32

  /// A message as the guest composed it; any bits.
  public init(address: UInt64, data: UInt32) {
    self.address = address
    self.data = data
  }
}

/// Where message-signalled interrupts go.
public protocol MSISink: AnyObject, Sendable {
  /// Delivers a message, from any thread. The guest composed it: nonsense is dropped.
  func send(_ message: MSIMessage)
}
