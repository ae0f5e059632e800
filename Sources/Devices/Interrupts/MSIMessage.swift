/// A message-signalled interrupt: a 32-bit write that the interrupt controllers take.
public struct MSIMessage: Hashable, Sendable {
  /// Where it is written, in bytes: 0xFEE00000 and above on x86.
  public var address: UInt64
  /// What is written: vector and delivery mode.
  public var data: UInt32

  /// A message; every value is accepted, as guests choose both.
  public init(address: UInt64, data: UInt32) {
    self.address = address
    self.data = data
  }
}

/// Delivers message-signalled interrupts to vCPUs.
public protocol MSISink: AnyObject, Sendable {
  /// Delivers one message, or drops one that no vCPU takes. Any thread, and with a device's lock held:
  /// it must not call the device back.
  func send(_ message: MSIMessage)
}
