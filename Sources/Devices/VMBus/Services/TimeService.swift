internal import Bytes
internal import DeviceKit
internal import HostSystem

/// *Time synchronization*: the guest's clock is set when its driver starts, and told the host's
/// time from then on.
final class TimeService: VMBusDevice {
  private struct State: Sendable {
    // The last version, 4.0, wants the guest's reference time as well, which KVM tells on a vCPU's
    // thread only.
    var negotiation = IntegrationNegotiation([.init(1, 0), .init(3, 0)])
    var next: UInt64?
    var hasSet = false
    var transaction: UInt8 = 0
    var answerCount: UInt64 = 0
  }

  private static let interval: UInt64 = 5_000_000_000
  /// *ictimesync_data*: the host's time, the guest's, the round trip, flags.
  private static let bodyByteCount = 25
  /// *ICTIMESYNCFLAG_SYNC*: set the clock. *_SAMPLE*: for who disciplines it.
  private static let sync: UInt8 = 1
  private static let sample: UInt8 = 2
  /// From 1601, where Windows' time begins, to 1970, in units of 100 ns.
  private static let epoch: UInt64 = 116_444_736_000_000_000

  let offer = VMBusOffer(
    interface: VMBusGUID("9527e630-d0ae-497b-adce-e80ab0175caf"),
    instance: VMBusGUID("2dd1ce17-079e-403c-b352-a1921ee207ee"), isPipe: true)
  private let state = Guarded(State())
  private let nanosecondsSince1970: @Sendable () -> Int64

  init(nanosecondsSince1970: @escaping @Sendable () -> Int64) {
    self.nanosecondsSince1970 = nanosecondsSince1970
  }

  var answerCount: UInt64 { state.withLock { $0.answerCount } }

  func opened(_ link: VMBusLink) {
    state.withLock { $0.negotiation.begin(link) }
  }

  func closed() {
    state.withLock { state in
      let count = state.answerCount
      state = State()
      state.answerCount = count
    }
  }

  func receive(_ packet: VMBusPacket, _ link: VMBusLink) {
    guard let message = IntegrationMessage(packet.payload) else { return }
    state.withLock { state in
      state.negotiation.receive(message)
      if message.kind == .timeSync { state.answerCount &+= 1 }
    }
  }

  /// When it goes on the guest's clock is set, as when its driver starts.
  func transferState(_ transfer: inout StateTransfer, now: UInt64) throws(StateError) {
    try state.withLock { state throws(StateError) in
      try state.negotiation.transfer(&transfer)
      try transfer.integer(&state.transaction)
      try transfer.integer(&state.answerCount)
    }
  }

  func advance(_ link: VMBusLink, now: UInt64) -> UInt64? {
    state.withLock { state in
      guard case .agreed = state.negotiation.state else { return nil }
      if let next = state.next, now < next { return next }
      var body = [UInt8](repeating: 0, count: Self.bodyByteCount)
      let time = UInt64(clamping: nanosecondsSince1970()) / 100
      body.storeLE(time &+ Self.epoch, at: 0)
      body[24] = state.hasSet ? Self.sample : Self.sync
      state.transaction &+= 1
      if let message = state.negotiation.request(
        .timeSync, transaction: state.transaction, body: body), link.send(message.bytes)
      {
        state.hasSet = true
      }
      let next = now &+ Self.interval
      state.next = next
      return next
    }
  }
}
