internal import GuestMemory
import HostSystem

@testable internal import DeviceKit
@testable internal import Devices

/// A driver of a virtio network card with two queue pairs and of a source of random numbers, which
/// begins well (features, queues of either kind) and then does what the input says: hostile
/// descriptors, tables, indices, registers and commands, while frames arrive.
///
/// The devices have no threads: the harness serves them, every time in the same way.
final class VirtioTarget: FuzzTarget {
  static let name = "virtio"
  static let maximumInputByteCount = 1024
  /// The harness serves the devices on the thread that writes registers.
  static let role = ThreadRole.disk

  private typealias Offset = VirtioRegisters.Offset

  /// Buffers and tables.
  private static let data: UInt64 = 0x8_0000
  private static let flags: [UInt16] = [0, 1, 2, 3, 4, 5, 0x80, 0x81, 0x82, 0x84, 0x8000, 0x8080]

  private let bench: DeviceBench
  private var memory: GuestMemory { bench.memory }
  private static let pairCount = 2
  /// Of the card.
  private static let queueCount = 2 * pairCount + 1
  private let cable: FuzzCable
  private let card: VirtioPCIDevice
  private let source: VirtioPCIDevice
  private let net: VirtioNet
  private let rng: VirtioRNG
  /// Of each pair, as the frames that have arrived there.
  private var senders: [VirtioNetSender]
  private var receivers: [VirtioNetReceiver]
  private var frames: [NetworkFrames]
  /// Of the card, then of the source.
  private var queues: FuzzVirtqueues

  init() throws {
    bench = try DeviceBench()
    let other = FuzzCable(maximumFrameByteCount: 65_550, headerByteCount: 12)
    cable = FuzzCable(
      maximumFrameByteCount: 65_550, headerByteCount: 12, mtu: 1500, offloads: [.checksum, .tcp4],
      others: [other])
    card = .network(cable, address: [0x52, 0x54, 0, 1, 2, 3], context: bench.context)
    source = .randomNumbers(context: bench.context)
    guard let net = card.transport.model as? VirtioNet,
      let rng = source.transport.model as? VirtioRNG
    else { fatalError("the models are others") }
    self.net = net
    self.rng = rng
    senders = net.pairs.map { VirtioNetSender(net, $0) }
    receivers = net.pairs.map { VirtioNetReceiver(net, $0) }
    frames = Array(repeating: NetworkFrames(for: cable), count: Self.pairCount)
    queues = FuzzVirtqueues(
      bench.memory, sizes: Array(repeating: 16, count: Self.queueCount) + [8])
  }

  func run(_ input: FuzzInput) {
    powerOn(input)
    input.drive(step, serve: serve)
    removeFrames()
  }

  private func removeFrames() {
    for index in frames.indices { frames[index].removeAll() }
  }

  private func serve() {
    rng.serveIfWaiting()
    let (features, pairCount) = net.state.withLock { ($0.features, $0.pairCount) }
    require(
      pairCount == 1 || pairCount == 2 && features.contains(.multiQueue),
      "\(pairCount) queue pairs are used")
    for (index, pair) in net.pairs.enumerated() {
      while pair.sending.nextIfWaiting() != nil { senders[index].serve() }
      while pair.receiving.nextIfWaiting() != nil {}
      _ = receivers[index].deliver(&frames[index])
      require(index < pairCount || frames[index].isEmpty, "frames wait at a pair of no use")
    }
    for device in [card, source] { device.requireDriver() }
  }

  private func powerOn(_ input: FuzzInput) {
    for device in [card, source] {
      device.reset()
      device.setCommand(6)
    }
    bench.clear()
    removeFrames()
    let choice = input.byte
    queues.powerOn(isPacked: choice & 1 == 1)
    guard choice & 0x80 == 0 else { return }
    let features = queues.features(choice)
    var own: VirtioFeatures = [
      .controlQueue, .controlReceive, .controlReceiveMore, .controlAddress, .guestChecksum,
      .controlGuestOffloads,
    ]
    if choice & 8 == 0 { own.insert(.mergeableBuffers) }
    if choice & 0x10 == 0 { own.insert(.multiQueue) }
    queues.begin(card, features.union(own), first: 0)
    queues.begin(source, features, first: Self.queueCount)
  }

  // MARK: The driver

  private func notify(_ queue: Int) {
    let (device, index) = queue == Self.queueCount ? (source, 0) : (card, queue)
    device.notify(index)
  }

  /// A queue by three bits: to receive or to send, of either pair, for control, or the source's.
  private func queue(of action: UInt8) -> Int {
    switch action >> 4 & 7 {
    case 2, 6: net.controlQueueIndex
    case 3, 7: Self.queueCount
    case let number: Int(number & 1) + (number & 4 == 0 ? 0 : 2)
    }
  }

  // MARK: Steps

  private func step(_ input: FuzzInput) {
    let action = input.byte
    let queue = queue(of: action)
    switch action & 15 {
    case 0, 1, 2:
      queues.put(
        queue, address(input), UInt32(input.uint16 & 0x7FF),
        flags: [2, 0, action & 0x80 == 0 ? 0 : 2, 2][Int(action >> 4 & 3)], link: 0)
      notify(queue)
    case 3, 4:
      queues.put(
        queue, address(input), UInt32(truncatingIfNeeded: input.anyMagnitude),
        flags: input.pick(Self.flags), link: UInt16(input.byte & 0x1F))
      if action & 0x80 == 0 { notify(queue) }
    case 5: notify(queue)
    case 6: command(input, start: action & 0x80 == 0 ? [] : [4, 0])
    case 7, 8: arrive(input, at: action & 0x40 == 0 ? 0 : 1)
    case 9:
      queues.setDescriptor(
        Self.data + 16 * UInt64(input.byte), address(input), UInt32(input.uint16),
        flags: input.pick(Self.flags), link: UInt16(input.byte & 0x1F))
    case 10:
      (action & 0x80 == 0 ? card : source).writeBAR(
        0, offset: UInt64(input.uint16 & 0x3FFF), width: 1 << input.index(below: 4),
        value: input.anyMagnitude)
    case 11:
      _ = (action & 0x80 == 0 ? card : source).readBAR(
        0, offset: UInt64(input.uint16 & 0x3FFF), width: 1 << input.index(below: 4))
    case 12: try? memory.store(input.uint16, at: queues.availableIndex(queue))
    case 13: (action & 0x80 == 0 ? card : source).configure(input)
    case 14:
      card.setCommon(Offset.queueSelect, UInt64(queue), width: 2)
      card.setCommon(Offset.queueReset, 1, width: 2)
      if action & 0x80 == 0 { card.setCommon(Offset.queueEnable, 1, width: 2) }
    default:
      if action & 0x80 == 0 {
        powerOn(input)
      } else {
        try? memory.write(input.bytes(32), at: GPA(address(input)))
      }
    }
  }

  /// Two descriptors, as commands have them.
  ///
  /// - Parameter start: class and command, if they are not to be the input's.
  private func command(_ input: FuzzInput, start: [UInt8]) {
    let queue = net.controlQueueIndex
    let bytes = start + input.bytes(Int(input.byte & 0x3F))
    try? memory.write(bytes, at: GPA(Self.data + 0x2_0000))
    queues.put(
      queue, Self.data + 0x2_0000, UInt32(bytes.count), flags: 1, link: queues.linkBehind(queue))
    queues.put(queue, Self.data + 0x3_0000, UInt32(input.byte & 3), flags: 2, link: 0)
    // The second one is no request of its own.
    queues.takeBack(queue)
    notify(queue)
  }

  /// A frame, with any header in front.
  private func arrive(_ input: FuzzInput, at pair: Int) {
    guard frames[pair].hasRoom else { return }
    let header = input.bytes(2)
    let count = 14 + Int(input.uint16 & 0x7FF)
    frames[pair].begin()
    frames[pair].withOpen { bytes in
      for (index, byte) in header.enumerated() {
        bytes.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
      }
    }
    frames[pair].extend(byCount: min(count, frames[pair].leftByteCount)) { bytes in
      bytes.storeBytes(of: 0x0302_0100_5452, toByteOffset: 0, as: UInt64.self)
    }
    frames[pair].finish()
  }

  private func address(_ input: FuzzInput) -> UInt64 {
    DeviceBench.address(input) { kind, number in
      switch kind {
      case 0...3: Self.data + number << 8
      default: FuzzVirtqueues.rings + number << 8
      }
    }
  }
}
