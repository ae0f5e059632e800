internal import DeviceKit
internal import GuestMemory
internal import HostSystem

/// A channel between a device and its driver in the guest: two rings while it is open.
///
/// vCPUs' threads open and close it, the bus' own thread sends and receives.
final class VMBusChannel: Sendable {
  private struct Open: Sendable {
    let pages: VMBusRingPages
    var inbound: VMBusRing
    var outbound: VMBusRing
    var vp: UInt32
    /// Which opening this is.
    let number: UInt64

    init(_ pages: VMBusRingPages, vp: UInt32, number: UInt64) {
      self.pages = pages
      inbound = VMBusRing(pages.fromGuest)
      outbound = VMBusRing(pages.toGuest)
      self.vp = vp
      self.number = number
    }
  }

  private struct State: Sendable {
    var open: Open?
    var openCount: UInt64 = 0
  }

  /// Whoever closes it waits for the packet that is being copied: the guest uses the pages for
  /// something else then.
  private let state = Guarded(State())
  private let relid: UInt32
  private let memory: GuestMemory
  private let port: any VMBusPort

  init(relid: UInt32, memory: GuestMemory, port: any VMBusPort) {
    self.relid = relid
    self.memory = memory
    self.port = port
  }

  /// Which opening it is in, from 1 on; nil while it is closed.
  var opening: UInt64? { state.withLock { $0.open?.number } }

  func open(_ rings: VMBusRingPages, vp: UInt32) {
    state.withLock { state in
      state.openCount += 1
      state.open = Open(rings, vp: vp, number: state.openCount)
    }
  }

  func close() {
    state.withLock { $0.open = nil }
  }

  func move(to vp: UInt32) {
    state.withLock { $0.open?.vp = vp }
  }

  /// Saves or restores what it is, with how far it has come in its rings.
  ///
  /// - Parameter isOpen: by the protocol.
  func transfer(
    _ transfer: inout StateTransfer, isOpen: Bool, vpCount: UInt32
  ) throws(StateError) {
    try state.withLock { state throws(StateError) in
      // It is counted up.
      try transfer.integer(&state.openCount, in: 0...UInt64(Int64.max))
      var pages = state.open?.pages
      try transfer.optional(&pages, new: VMBusRingPages()) {
        (transfer, pages) throws(StateError) in try pages.transfer(&transfer)
      }
      try transfer.check((pages != nil) == isOpen, "a channel that is half open")
      if transfer.isRestoring {
        state.open = pages.map { Open($0, vp: 0, number: state.openCount) }
      }
      guard var open = state.open else { return }
      try open.inbound.transferIndex(&transfer)
      try open.outbound.transferIndex(&transfer)
      try transfer.integer(&open.vp, in: 0...vpCount - 1)
      state.open = open
    }
  }

  /// The next packet, as a copy; nil if there is none, or the channel is in another opening.
  func receive(in opening: UInt64) throws(VMBusRingFault) -> VMBusPacket? {
    try state.withLock { state throws(VMBusRingFault) in
      guard var open = state.open, open.number == opening else { return nil }
      var wantsSignal = false
      let packet = try open.inbound.receive(memory, wantsSignal: &wantsSignal)
      state.open = open
      if wantsSignal { port.setEvent(relid, of: open.vp) }
      return packet
    }
  }

  /// Sends a packet.
  ///
  /// - Returns: false if there is no room, or the channel is in another opening.
  func send(_ packet: VMBusPacket, in opening: UInt64) throws(VMBusRingFault) -> Bool {
    try state.withLock { state throws(VMBusRingFault) in
      guard var open = state.open, open.number == opening else { return false }
      guard let wantsSignal = try open.outbound.send(packet, memory) else { return false }
      state.open = open
      if wantsSignal { port.setEvent(relid, of: open.vp) }
      return true
    }
  }
}
