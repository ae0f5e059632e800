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
struct VMBusLink {
  let memory: GuestMemory
  fileprivate let channel: VMBusChannel
  let opening: UInt64
  fileprivate let onFault: (VMBusRingFault) -> Void

  init(
    memory: GuestMemory, channel: VMBusChannel, opening: UInt64,
    onFault: @escaping (VMBusRingFault) -> Void
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
