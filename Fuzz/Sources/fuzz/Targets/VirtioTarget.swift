internal import GuestMemory
import HostSystem

@testable internal import DeviceKit
@testable internal import Devices

/// A driver of a virtio network card and of a source of random numbers, which begins well
/// (features, queues of either kind) and then does what the input says: hostile descriptors,
/// tables, indices, registers and commands, while frames arrive.
///
/// The devices have no threads: the harness serves them, every time in the same way.
final class VirtioTarget: FuzzTarget {
  static let name = "virtio"
  static let maximumInputByteCount = 1024
  /// The harness serves the devices on the thread that writes registers.
  static let role = ThreadRole.disk

  private typealias Offset = VirtioRegisters.Offset
  private typealias Region = VirtioTransport.Region

  private static let queueSize: UInt16 = 16
  /// A queue's areas, a page each, then buffers and tables.
  private static let rings: UInt64 = 0x1_0000
  private static let data: UInt64 = 0x8_0000
  private static let flags: [UInt16] = [0, 1, 2, 3, 4, 5, 0x80, 0x81, 0x82, 0x84, 0x8000, 0x8080]

  private let bench: DeviceBench
  private var memory: GuestMemory { bench.memory }
  private let cable = FuzzCable(
    maximumFrameByteCount: 65_550, headerByteCount: 12, mtu: 1500, offloads: [.checksum, .tcp4])
  private let card: VirtioPCIDevice
  private let source: VirtioPCIDevice
  private let net: VirtioNet
  private let rng: VirtioRNG
  private var sender: VirtioNetSender
  private var receiver: VirtioNetReceiver
  private var frames: NetworkFrames
  /// Where the driver is in the rings, by queue: of the card, then of the source.
  private var next = [UInt16](repeating: 0, count: 4)
  private var wraps = [Bool](repeating: true, count: 4)
  private var isPacked = false

  init() throws {
    bench = try DeviceBench()
    card = .network(cable, address: [0x52, 0x54, 0, 1, 2, 3], context: bench.context)
    source = .randomNumbers(context: bench.context)
    guard let net = card.transport.model as? VirtioNet,
      let rng = source.transport.model as? VirtioRNG
    else { fatalError("the models are others") }
    self.net = net
    self.rng = rng
    sender = VirtioNetSender(net)
    receiver = VirtioNetReceiver(net)
    frames = NetworkFrames(for: cable)
  }

  func run(_ input: FuzzInput) {
    powerOn(input)
    input.drive(step, serve: serve)
    frames.removeAll()
  }

  private func serve() {
    rng.serveIfWaiting()
    while net.sending.nextIfWaiting() != nil { sender.serve() }
    while net.receiving.nextIfWaiting() != nil {}
    _ = receiver.deliver(&frames)
    for device in [card, source] {
      let status = VirtioStatus(rawValue: UInt8(truncatingIfNeeded: common(device, Offset.status)))
      require(
        status.contains(.driverOK)
          || !device.transport.link.queues.contains { $0.isLive },
        "a queue works without a driver")
    }
  }

  private func powerOn(_ input: FuzzInput) {
    for device in [card, source] {
      device.reset()
      device.setCommand(6)
    }
    bench.clear()
    frames.removeAll()
    next = Array(repeating: 0, count: 4)
    wraps = Array(repeating: true, count: 4)
    let choice = input.byte
    isPacked = choice & 1 == 1
    guard choice & 0x80 == 0 else { return }
    var features: VirtioFeatures = [.version1]
    if isPacked { features.insert(.packedRing) }
    if choice & 2 != 0 { features.insert(.eventIndex) }
    if choice & 4 == 0 { features.insert(.indirectDescriptors) }
    var own: VirtioFeatures = [
      .controlQueue, .controlReceive, .controlReceiveMore, .controlAddress, .guestChecksum,
      .controlGuestOffloads,
    ]
    if choice & 8 == 0 { own.insert(.mergeableBuffers) }
    begin(card, features.union(own))
    begin(source, features)
  }

  private func begin(_ device: VirtioPCIDevice, _ features: VirtioFeatures) {
    setCommon(device, Offset.status, 3, width: 1)
    for half in 0..<2 as Range<UInt64> {
      setCommon(device, Offset.driverFeatureSelect, half, width: 4)
      setCommon(
        device, Offset.driverFeature, features.rawValue >> (32 * half) & 0xFFFF_FFFF, width: 4)
    }
    setCommon(device, Offset.status, 0x0B, width: 1)
    for index in device.transport.link.queues.indices {
      let queue = device === card ? index : 3
      setCommon(device, Offset.queueSelect, UInt64(index), width: 2)
      let size = device === card ? UInt64(Self.queueSize) : 8
      setCommon(device, Offset.queueSize, size, width: 2)
      for area in 0..<3 {
        setCommon(
          device, Offset.descriptors + 8 * area,
          ring(queue) + 0x1000 * UInt64(area), width: 8)
      }
      setCommon(device, Offset.queueEnable, 1, width: 2)
    }
    setCommon(device, Offset.status, 0x0F, width: 1)
  }

  // MARK: The driver

  private func setCommon(
    _ device: VirtioPCIDevice, _ offset: Int, _ value: UInt64, width: Int
  ) {
    device.writeBAR(0, offset: UInt64(offset), width: width, value: value)
  }

  private func common(_ device: VirtioPCIDevice, _ offset: Int) -> UInt64 {
    device.readBAR(0, offset: UInt64(offset), width: 1)
  }

  private func ring(_ queue: Int) -> UInt64 { Self.rings + 0x4000 * UInt64(queue) }

  private func notify(_ queue: Int) {
    let (device, index) = queue == 3 ? (source, 0) : (card, queue)
    device.writeBAR(
      0, offset: Region.notify + Region.notifyMultiplier * UInt64(index), width: 2,
      value: UInt64(index))
  }

  private func size(_ queue: Int) -> UInt16 { queue == 3 ? 8 : Self.queueSize }

  /// Puts one descriptor, and makes it available.
  private func put(
    _ queue: Int, _ address: UInt64, _ byteCount: UInt32, flags: UInt16, link: UInt16
  ) {
    let index = next[queue]
    let lap: UInt16 = wraps[queue] ? 0x80 : 0x8000
    setDescriptor(
      ring(queue) + 16 * UInt64(index), address, byteCount,
      flags: isPacked ? flags ^ lap : flags, link: link)
    next[queue] += 1
    if next[queue] == size(queue) {
      next[queue] = 0
      wraps[queue].toggle()
    }
    guard !isPacked else { return }
    let driver = ring(queue) + 0x1000
    let available: UInt16 = (try? memory.load(at: GPA(driver + 2))) ?? 0
    try? memory.store(index, at: GPA(driver + 4 + 2 * UInt64(available % size(queue))))
    try? memory.store(available &+ 1, at: GPA(driver + 2))
  }

  private func setDescriptor(
    _ place: UInt64, _ address: UInt64, _ byteCount: UInt32, flags: UInt16, link: UInt16
  ) {
    try? memory.store(address, at: GPA(place))
    try? memory.store(byteCount, at: GPA(place + 8))
    try? memory.store(isPacked ? link : flags, at: GPA(place + 12))
    try? memory.store(isPacked ? flags : link, at: GPA(place + 14))
  }

  // MARK: Steps

  private func step(_ input: FuzzInput) {
    let action = input.byte
    let queue = Int(action >> 4 & 3)
    switch action & 15 {
    case 0, 1, 2:
      put(
        queue, address(input), UInt32(input.uint16 & 0x7FF),
        flags: [2, 0, action & 0x80 == 0 ? 0 : 2, 2][queue], link: 0)
      notify(queue)
    case 3, 4:
      put(
        queue, address(input), UInt32(truncatingIfNeeded: input.anyMagnitude),
        flags: input.pick(Self.flags), link: UInt16(input.byte & 0x1F))
      if action & 0x80 == 0 { notify(queue) }
    case 5: notify(queue)
    case 6: command(input)
    case 7, 8: arrive(input)
    case 9:
      setDescriptor(
        Self.data + 16 * UInt64(input.byte), address(input), UInt32(input.uint16),
        flags: input.pick(Self.flags), link: UInt16(input.byte & 0x1F))
    case 10:
      (action & 0x80 == 0 ? card : source).writeBAR(
        0, offset: UInt64(input.uint16 & 0x3FFF), width: 1 << input.index(below: 4),
        value: input.anyMagnitude)
    case 11:
      _ = (action & 0x80 == 0 ? card : source).readBAR(
        0, offset: UInt64(input.uint16 & 0x3FFF), width: 1 << input.index(below: 4))
    case 12: try? memory.store(input.uint16, at: GPA(ring(queue) + 0x1002))
    case 13: configure(input, action & 0x80 == 0 ? card : source)
    case 14:
      setCommon(card, Offset.queueSelect, UInt64(queue), width: 2)
      setCommon(card, Offset.queueReset, 1, width: 2)
      if action & 0x80 == 0 { setCommon(card, Offset.queueEnable, 1, width: 2) }
    default:
      if action & 0x80 == 0 {
        powerOn(input)
      } else {
        try? memory.write(input.bytes(32), at: GPA(address(input)))
      }
    }
  }

  /// Two descriptors, as commands have them.
  private func command(_ input: FuzzInput) {
    let bytes = input.bytes(Int(input.byte & 0x3F))
    try? memory.write(bytes, at: GPA(Self.data + 0x2_0000))
    put(2, Self.data + 0x2_0000, UInt32(bytes.count), flags: 1, link: (next[2] + 1) % size(2))
    put(2, Self.data + 0x3_0000, UInt32(input.byte & 3), flags: 2, link: 0)
    if !isPacked {
      // The second one is no request of its own.
      let place = GPA(ring(2) + 0x1002)
      let available: UInt16 = (try? memory.load(at: place)) ?? 0
      try? memory.store(available &- 1, at: place)
    }
    notify(2)
  }

  /// A frame, with any header in front.
  private func arrive(_ input: FuzzInput) {
    guard frames.hasRoom else { return }
    let header = input.bytes(2)
    let count = 14 + Int(input.uint16 & 0x7FF)
    frames.begin()
    frames.withOpen { bytes in
      for (index, byte) in header.enumerated() {
        bytes.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
      }
    }
    frames.extend(byCount: min(count, frames.leftByteCount)) { bytes in
      bytes.storeBytes(of: 0x0302_0100_5452, toByteOffset: 0, as: UInt64.self)
    }
    frames.finish()
  }

  /// *Command* or any other register; in the end the window of the capability is among them.
  private func configure(_ input: FuzzInput, _ device: VirtioPCIDevice) {
    let offset = input.bool ? PCIRegister.command : Int(input.byte)
    let (width, value) = (1 << input.index(below: 3), input.anyMagnitude)
    device.configuration.write(offset: offset, width: width, value: value)
    device.endpoint.configurationChanged()
    device.configurationChanged()
    device.configurationWritten(offset: offset, width: width)
    device.configurationWillBeRead(offset: offset, width: width)
  }

  private func address(_ input: FuzzInput) -> UInt64 {
    DeviceBench.address(input) { kind, number in
      switch kind {
      case 0...3: Self.data + number << 8
      default: Self.rings + number << 8
      }
    }
  }
}
