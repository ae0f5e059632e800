internal import Bytes

/// A GUID as Windows has it in memory: the first three groups little-endian. A thread-safe value.
struct VMBusGUID: Hashable, Sendable {
  static let byteCount = 16
  let bytes: [UInt8]

  /// Reads the usual spelling, `525074dc-8985-46e2-8057-a307dc18a502`. A wrong one is a mistake of
  /// ours.
  init(_ text: StaticString) {
    let digits = "\(text)".filter { $0 != "-" }
    var bytes: [UInt8] = []
    var rest = Substring(digits)
    while let byte = UInt8(rest.prefix(2), radix: 16) {
      bytes.append(byte)
      rest = rest.dropFirst(2)
    }
    precondition(bytes.count == Self.byteCount && rest.isEmpty, "GUID \(text)")
    self.bytes =
      bytes[0..<4].reversed() + bytes[4..<6].reversed() + bytes[6..<8].reversed() + bytes[8...]
  }
}

/// What a device says of itself when it is offered. A thread-safe value.
struct VMBusOffer: Hashable, Sendable {
  /// *vmbus_channel_offer_channel*.
  static let messageByteCount = 196

  /// What kind of device it is (*if_type*).
  let interface: VMBusGUID
  /// Which one (*if_instance*): the same for each machine, as guests keep what they know of it.
  let instance: VMBusGUID
  /// Whether packets begin with a pipe's header: integration services are pipes of messages.
  let isPipe: Bool

  /// *VMBUS_CHANNEL_ENUMERATE_DEVICE_INTERFACE*, *VMBUS_CHANNEL_NAMED_PIPE_MODE*.
  private static let pipeFlags: UInt16 = 0x11
  /// *VMBUS_PIPE_TYPE_MESSAGE*.
  private static let messagePipe: UInt32 = 4

  /// - Parameters:
  ///   - relid: the channel's number.
  ///   - connection: where the guest signals its events to.
  func message(relid: UInt32, connection: UInt32) -> VMBusMessage {
    var message = VMBusMessage(.offer, byteCount: Self.messageByteCount)
    message.store(interface.bytes, at: 8)
    message.store(instance.bytes, at: 24)
    if isPipe {
      message.store(Self.pipeFlags, at: 56)
      message.store(Self.messagePipe, at: 60)
    }
    message.store(relid, at: 184)
    // The channel has an interrupt of its own: no old page of interrupt bits beside.
    message.store(1 as UInt16, at: 190)
    message.store(connection, at: 192)
    return message
  }
}
