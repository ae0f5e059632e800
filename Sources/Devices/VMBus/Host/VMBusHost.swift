package import DeviceKit
internal import Glibc
internal import GuestMemory
internal import HostSystem

/// VMBus: its control channel, its devices, and the thread that serves them.
///
/// A message is answered on the thread of the vCPU that posts it; packets are served by a thread of
/// the bus, which events of the guest wake. Any thread.
package final class VMBusHost: Device {
  private struct Slot: Sendable {
    let device: any VMBusDevice
    let channel: VMBusChannel
    /// What the device was told last.
    var link: VMBusLink?
  }

  private struct Turns: Sendable {
    var slots: [Slot]
    /// Nothing is served.
    var isHeld = false
  }

  /// Messages that may wait for the guest to take them, before it may post more.
  private static let maximumWaitingCount = 64
  /// Packets of a channel in a row: the others have their turn then.
  private static let packetBurst = 32

  private let memory: GuestMemory
  private let port: any VMBusPort
  private let devices: [any VMBusDevice]
  private let channels: [VMBusChannel]
  private let vpCount: UInt32
  private let connection: Guarded<VMBusConnection>
  /// With its lock for as long as one takes.
  private let turns: Guarded<Turns>
  private let doorbell: Doorbell
  private let clock: @Sendable () -> UInt64
  private let onThreadStart: @Sendable () -> Void
  private let thread = Guarded<HostThread?>(nil)
  private let ending: Event

  /// - Parameters:
  ///   - vpCount: how many virtual processors there are.
  ///   - clock: nanoseconds since some time.
  init(
    _ devices: [any VMBusDevice], vpCount: Int, memory: GuestMemory, port: any VMBusPort,
    clock: @escaping @Sendable () -> UInt64, onThreadStart: @escaping @Sendable () -> Void
  ) throws(DeviceError) {
    do throws(Errno) {
      doorbell = try Doorbell()
      ending = try Event()
    } catch {
      throw .unavailable(
        what: "no events for VMBus: \(error)", cure: "raise the limit of open files (ulimit -n)")
    }
    self.memory = memory
    self.port = port
    self.devices = devices
    self.clock = clock
    self.onThreadStart = onThreadStart
    channels = devices.indices.map { index in
      VMBusChannel(
        relid: VMBusConnection.relid(ofChannel: index), memory: memory, port: port)
    }
    self.vpCount = UInt32(vpCount)
    connection = Guarded(VMBusConnection(offers: devices.map(\.offer), vpCount: vpCount))
    turns = Guarded(Turns(slots: zip(devices, channels).map { Slot(device: $0, channel: $1) }))
  }

  /// Where the guest's messages and events are.
  package static var interruptSource: UInt32 { VMBusConnection.interruptSource }

  /// The connections to which the guest signals that a channel has news; signals to any of them
  /// ring `doorbellDescriptor`.
  package var eventConnections: [UInt32] {
    devices.indices.map { VMBusConnection.eventConnection(ofChannel: $0) }
  }

  /// An eventfd, which the kernel may signal.
  package var doorbellDescriptor: Int32 { doorbell.descriptor }

  /// Devices that have a driver.
  var openChannelCount: Int { channels.count { $0.opening != nil } }

  // MARK: The guest

  /// Takes a message that the guest posts. On a vCPU's thread.
  ///
  /// - Parameters:
  ///   - connection: of the guest's choice.
  ///   - type: must be 1, *a message of VMBus' channel*.
  package func post(_ message: [UInt8], type: UInt32, connection number: UInt32) -> VMBusPost {
    guard number == VMBusConnection.messageConnection || number == VMBusConnection.contactConnection
    else { return .noConnection }
    guard type == 1 else { return .invalid }
    guard port.waitingMessageCount < Self.maximumWaitingCount else { return .isFull }
    connection.withLock { connection in
      let reaction = connection.receive(message)
      carryOut(reaction, messageVP: connection.messageVP)
    }
    return .taken
  }

  /// Takes an event that the kernel has not taken. On a vCPU's thread.
  ///
  /// - Returns: false if there is no such connection.
  package func signal(connection number: UInt32) -> Bool {
    guard eventConnections.contains(number) else { return false }
    doorbell.ring()
    return true
  }

  /// Under the connection's lock, so that messages keep their order.
  private func carryOut(_ reaction: VMBusConnection.Reaction, messageVP: UInt32) {
    for change in reaction.changes {
      switch change {
      case .opened(let index, let rings, let vp): channels[index].open(rings, vp: vp)
      case .closed(let index): channels[index].close()
      case .moved(let index, let vp): channels[index].move(to: vp)
      case .reset: port.dropMessages()
      }
    }
    for message in reaction.messages { port.send(message.bytes, to: messageVP) }
    if !reaction.changes.isEmpty { doorbell.ring() }
  }

  private func rescind(_ index: Int, in opening: UInt64) {
    connection.withLock { connection in
      // The guest may have begun anew.
      guard channels[index].opening == opening else { return }
      let reaction = connection.rescind(channel: index)
      carryOut(reaction, messageVP: connection.messageVP)
    }
  }

  // MARK: Life

  package func start() throws(DeviceError) {
    for device in devices { device.attach { [doorbell] in doorbell.ring() } }
    do throws(HostThread.Failure) {
      let started = try HostThread { [self] in
        onThreadStart()
        serve()
      }
      thread.withLock { $0 = started }
    } catch {
      throw .threads(count: 1, kind: "VMBus")
    }
  }

  package func stop() {
    ending.raise()
    let started = thread.withLock { thread in
      defer { thread = nil }
      return thread
    }
    started?.join()
    for device in devices { device.detach() }
  }

  package func pause() throws(StateError) {
    turns.withLock { $0.isHeld = true }
  }

  package func resume() {
    turns.withLock { $0.isHeld = false }
    doorbell.ring()
  }

  package func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    let now = clock()
    try turns.withLock { turns throws(StateError) in
      try connection.withLock { connection throws(StateError) in
        try connection.transfer(&transfer)
        for index in channels.indices {
          try channels[index].transfer(
            &transfer, isOpen: connection.isOpen(channel: index), vpCount: vpCount)
        }
      }
      for index in devices.indices {
        var opening = turns.slots[index].link?.opening
        try transfer.integer(&opening)
        if transfer.isRestoring {
          turns.slots[index].link = opening.map { link(index, in: $0) }
        }
        try devices[index].transferState(&transfer, now: now)
      }
    }
    try port.transferState(&transfer)
  }

  // MARK: The thread

  private func serve() {
    while !ending.isRaised {
      doorbell.clear()
      port.retryMessages()
      let next = turn()
      let timeout = next.map { time in
        // Rounded up, so that the time has come.
        let now = clock()
        return Int32(clamping: (max(time, now) - now + 999_999) / 1_000_000)
      }
      _ = ending.wait(
        for: Int32(POLLIN), on: doorbell.descriptor, timeoutMilliseconds: timeout ?? -1)
    }
  }

  /// Serves all channels once. For tests and fuzzing, which have no thread.
  ///
  /// - Returns: when something is due; nil for nothing before the next event.
  @discardableResult
  func turn() -> UInt64? {
    turns.withLock { turns in
      guard !turns.isHeld else { return nil }
      var next: UInt64?
      for index in turns.slots.indices {
        if let time = turn(index, &turns.slots[index]) { next = min(next ?? time, time) }
      }
      return next
    }
  }

  /// Kept in `turns`, so it may not keep the bus.
  private func link(_ index: Int, in opening: UInt64) -> VMBusLink {
    VMBusLink(memory: memory, channel: channels[index], opening: opening) { [weak self] _ in
      self?.rescind(index, in: opening)
    }
  }

  private func turn(_ index: Int, _ slot: inout Slot) -> UInt64? {
    let opening = slot.channel.opening
    if slot.link?.opening != opening {
      if slot.link != nil { slot.device.closed() }
      slot.link = opening.map { link(index, in: $0) }
      if let link = slot.link { slot.device.opened(link) }
    }
    guard let link = slot.link else { return nil }
    var count = 0
    while count < Self.packetBurst, !ending.isRaised, let packet = link.receive() {
      slot.device.receive(packet, link)
      count += 1
    }
    let now = clock()
    let next = slot.device.advance(link, now: now)
    return count == Self.packetBurst ? now : next
  }
}
