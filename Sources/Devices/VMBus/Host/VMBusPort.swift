package import DeviceKit

/// How VMBus reaches its guest: the synthetic interrupt controllers of its virtual processors.
///
/// Any thread; nothing waits.
package protocol VMBusPort: AnyObject, Sendable {
  /// Messages that no guest has taken yet.
  var waitingMessageCount: Int { get }

  /// Sends a message, after those before it; as soon as the processor's slot is free.
  func send(_ message: [UInt8], to vp: UInt32)

  /// Tries again what found a slot that was not free.
  func retryMessages()

  /// Forgets the messages that wait.
  func dropMessages()

  /// Saves or restores the messages that wait.
  func transferState(_ transfer: inout StateTransfer) throws(StateError)

  /// Sets an event flag of a processor, and interrupts it unless the flag was set.
  func setEvent(_ flag: UInt32, of vp: UInt32)
}

/// What comes of a message that the guest posts.
package enum VMBusPost: Equatable, Sendable {
  case taken
  /// The guest posts faster than it takes what it gets.
  case isFull
  case noConnection
  case invalid
}
