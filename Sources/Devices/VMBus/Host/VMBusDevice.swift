internal import DeviceKit
internal import GuestMemory

/// A device on VMBus. All its functions are called by the bus' own thread, so nothing here races.
protocol VMBusDevice: AnyObject, Sendable {
  var offer: VMBusOffer { get }

  /// Has `wake` called whenever the device has something to do that no packet and no time tells.
  func attach(wake: @escaping @Sendable () -> Void)

  /// The machine ends: the last call.
  func detach()

  /// A driver has opened the channel.
  func opened(_ link: VMBusLink)

  /// It has closed it, or the guest is gone.
  func closed()

  /// The driver sent a packet.
  func receive(_ packet: VMBusPacket, _ link: VMBusLink)

  /// Saves or restores what it has come to with its driver; it is not `opened` anew. While the
  /// bus' thread is at rest, or before it starts.
  ///
  /// - Parameter now: of the bus' clock, which is another one where a machine goes on.
  func transferState(_ transfer: inout StateTransfer, now: UInt64) throws(StateError)

  /// Does what is due.
  ///
  /// - Returns: when more will be, in nanoseconds of the bus' clock; nil for never.
  func advance(_ link: VMBusLink, now: UInt64) -> UInt64?
}

extension VMBusDevice {
  func attach(wake: @escaping @Sendable () -> Void) {}
  func detach() {}
}

/// One opening of a channel, as its device has it.
struct VMBusLink: Sendable {
  let memory: GuestMemory
  fileprivate let channel: VMBusChannel
  let opening: UInt64
  fileprivate let onFault: @Sendable (VMBusRingFault) -> Void

  init(
    memory: GuestMemory, channel: VMBusChannel, opening: UInt64,
    onFault: @escaping @Sendable (VMBusRingFault) -> Void
  ) {
    self.memory = memory
    self.channel = channel
    self.opening = opening
    self.onFault = onFault
  }

  /// Sends a packet in band.
  ///
  /// - Returns: false if there is no room; nothing is sent then.
  @discardableResult
  func send(_ payload: [UInt8], transaction: UInt64 = 0) -> Bool {
    do throws(VMBusRingFault) {
      return try channel.send(
        VMBusPacket(transaction: transaction, payload: payload), in: opening)
    } catch {
      onFault(error)
      return false
    }
  }

  /// The driver's next packet. One that wants a completion gets it.
  func receive() -> VMBusPacket? {
    do throws(VMBusRingFault) {
      guard let packet = try channel.receive(in: opening) else { return nil }
      if packet.wantsCompletion {
        let completion = VMBusPacket(
          kind: .completion, transaction: packet.transaction, payload: [])
        _ = try channel.send(completion, in: opening)
      }
      return packet
    } catch {
      onFault(error)
      return nil
    }
  }
}

extension StateTransfer {
  /// A time of a clock that is another one where it is restored: saved as how far off it is.
  mutating func time(_ time: inout UInt64, now: UInt64) throws(StateError) {
    var left = max(time, now) - now
    // A century is enough for anything that is waited for.
    try integer(&left, in: 0...3_155_760_000_000_000_000)
    if isRestoring { time = now &+ left }
  }

  /// One that there may not be.
  mutating func time(_ time: inout UInt64?, now: UInt64) throws(StateError) {
    try optional(&time, new: now) { (transfer, time) throws(StateError) in
      try transfer.time(&time, now: now)
    }
  }
}
