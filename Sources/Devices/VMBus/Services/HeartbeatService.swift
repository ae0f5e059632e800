internal import Bytes
internal import DeviceKit
internal import HostSystem

/// *Heartbeat*: the guest answers every two seconds, so that the host knows it is there.
final class HeartbeatService: VMBusDevice {
  /// What has come of it.
  struct Activity: Equatable, Sendable {
    var isOpen = false
    var answerCount: UInt64 = 0
    /// Requests in a row that the guest has not answered.
    var missedCount: UInt64 = 0
  }

  private struct State: Sendable {
    var negotiation = IntegrationNegotiation([.init(1, 0), .init(3, 0)])
    var sequence: UInt64 = 0
    var isAnswered = true
    var next: UInt64?
    var activity = Activity()
  }

  private static let interval: UInt64 = 2_000_000_000
  /// *heartbeat_msg_data*: a number, which the guest counts up, and 32 bytes that are reserved.
  private static let bodyByteCount = 40

  let offer = VMBusOffer(
    interface: VMBusGUID("57164f39-9115-4e78-ab55-382f3bd5422d"),
    instance: VMBusGUID("fd149e91-82e0-4a7d-afa6-2a4166cbd7c0"), isPipe: true)
  private let state = Guarded(State())

  var activity: Activity { state.withLock { $0.activity } }

  func opened(_ link: VMBusLink) {
    state.withLock { state in
      state.negotiation.begin(link)
      state.activity.isOpen = true
    }
  }

  func closed() {
    state.withLock { state in
      let count = state.activity.answerCount
      state = State()
      state.activity.answerCount = count
    }
  }

  func receive(_ packet: VMBusPacket, _ link: VMBusLink) {
    guard let message = IntegrationMessage(packet.payload) else { return }
    state.withLock { state in
      state.negotiation.receive(message)
      guard message.kind == .heartbeat,
        let number = message.body.loadLE(at: 0, byteCount: 8), number == state.sequence &+ 1
      else { return }
      state.isAnswered = true
      state.activity.answerCount &+= 1
      state.activity.missedCount = 0
    }
  }

  func transferState(_ transfer: inout StateTransfer, now: UInt64) throws(StateError) {
    try state.withLock { state throws(StateError) in
      try state.negotiation.transfer(&transfer)
      try transfer.integer(&state.sequence)
      try transfer.flag(&state.isAnswered)
      try transfer.time(&state.next, now: now)
      try transfer.flag(&state.activity.isOpen)
      try transfer.integer(&state.activity.answerCount)
      try transfer.integer(&state.activity.missedCount)
    }
  }

  func advance(_ link: VMBusLink, now: UInt64) -> UInt64? {
    state.withLock { state in
      guard case .agreed = state.negotiation.state else { return nil }
      if let next = state.next, now < next { return next }
      if !state.isAnswered { state.activity.missedCount &+= 1 }
      state.sequence &+= 2
      var body = [UInt8](repeating: 0, count: Self.bodyByteCount)
      body.storeLE(state.sequence, at: 0)
      let transaction = UInt8(truncatingIfNeeded: state.sequence / 2)
      if let message = state.negotiation.request(.heartbeat, transaction: transaction, body: body),
        link.send(message.bytes)
      {
        state.isAnswered = false
      }
      let next = now &+ Self.interval
      state.next = next
      return next
    }
  }
}
