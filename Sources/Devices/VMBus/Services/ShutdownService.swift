internal import Bytes
internal import DeviceKit
internal import HostSystem

/// *Guest shutdown*: the host asks, and the guest's operating system powers off.
final class ShutdownService: VMBusDevice {
  /// What has come of it.
  struct Activity: Equatable, Sendable {
    /// Whether a guest would hear of it.
    var isOpen = false
    var requestCount: UInt64 = 0
    /// What the guest answered last: 0 if it does as it is asked.
    var lastStatus: UInt32?
  }

  private struct State: Sendable {
    var negotiation = IntegrationNegotiation([.init(1, 0), .init(3, 0), .init(3, 1), .init(3, 2)])
    var isWanted = false
    var activity = Activity()
    var wake: (@Sendable () -> Void)?
  }

  /// *shutdown_msg_data*: the reason, a time-out, flags, and 2048 bytes of text.
  private static let bodyByteCount = 2060
  /// *SHTDN_REASON_FLAG_PLANNED*.
  private static let reason: UInt32 = 0x8000_0000
  private static let timeoutSeconds: UInt32 = 60

  let offer = VMBusOffer(
    interface: VMBusGUID("0e0b6031-5213-4934-818b-38d90ced39db"),
    instance: VMBusGUID("b6650ff7-33bc-4840-8048-e0676786f393"), isPipe: true)
  private let state = Guarded(State())

  var activity: Activity { state.withLock { $0.activity } }

  /// Asks the guest to power off. Any thread.
  ///
  /// - Returns: false if there is no driver to hear it.
  func request() -> Bool {
    state.withLock { state in
      guard state.activity.isOpen else { return false }
      state.isWanted = true
      state.wake?()
      return true
    }
  }

  func attach(wake: @escaping @Sendable () -> Void) {
    state.withLock { $0.wake = wake }
  }

  func detach() {
    state.withLock { $0.wake = nil }
  }

  func opened(_ link: VMBusLink) {
    state.withLock { $0.negotiation.begin(link) }
  }

  func closed() {
    state.withLock { state in
      state.negotiation.end()
      state.isWanted = false
      state.activity.isOpen = false
    }
  }

  func receive(_ packet: VMBusPacket, _ link: VMBusLink) {
    guard let message = IntegrationMessage(packet.payload) else { return }
    state.withLock { state in
      state.negotiation.receive(message)
      if case .agreed = state.negotiation.state { state.activity.isOpen = true }
      if message.kind == .shutdown { state.activity.lastStatus = message.status }
    }
  }

  func transferState(_ transfer: inout StateTransfer, now: UInt64) throws(StateError) {
    try state.withLock { state throws(StateError) in
      try state.negotiation.transfer(&transfer)
      try transfer.flag(&state.isWanted)
      try transfer.flag(&state.activity.isOpen)
      try transfer.integer(&state.activity.requestCount)
      try transfer.integer(&state.activity.lastStatus)
    }
  }

  func advance(_ link: VMBusLink, now: UInt64) -> UInt64? {
    state.withLock { state in
      guard state.isWanted else { return nil }
      var body = [UInt8](repeating: 0, count: Self.bodyByteCount)
      body.storeLE(Self.reason, at: 0)
      body.storeLE(Self.timeoutSeconds, at: 4)
      let transaction = UInt8(truncatingIfNeeded: state.activity.requestCount)
      if let message = state.negotiation.request(.shutdown, transaction: transaction, body: body),
        link.send(message.bytes)
      {
        state.isWanted = false
        state.activity.requestCount &+= 1
        return nil
      }
      // No room: the guest takes what is there first.
      return now &+ 100_000_000
    }
  }
}
