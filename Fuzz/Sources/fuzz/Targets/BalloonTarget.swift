internal import GuestMemory
import HostSystem

@testable internal import DeviceKit
@testable internal import Devices

/// A driver of a memory balloon, which begins well and then does what the input says: lists of
/// pages, reports, statistics, hostile descriptors and registers, while targets change.
///
/// The device has no thread: the harness serves it, every time in the same way.
final class BalloonTarget: FuzzTarget {
  static let name = "balloon"
  static let maximumInputByteCount = 1024
  /// The harness serves the device on the thread that writes registers.
  static let role = ThreadRole.balloon

  private typealias Offset = VirtioRegisters.Offset

  private static let queueCount = VirtioBalloon.description.queueSizes.count
  /// Lists and tables. The pages that are given are all of memory.
  private static let data: UInt64 = 0x8_0000
  private static let flags: [UInt16] = [0, 1, 2, 3, 4, 5, 0x80, 0x82, 0x8000, 0x8080]

  private let bench: DeviceBench
  private var memory: GuestMemory { bench.memory }
  private let clock: StreamClock
  private let balloon: Balloon
  private let card: VirtioPCIDevice
  private let device: VirtioBalloon
  private var server: VirtioBalloonServer
  private var queues: FuzzVirtqueues

  init() throws {
    bench = try DeviceBench()
    let clock = StreamClock(nanoseconds: 1 << 40)
    self.clock = clock
    balloon = Balloon(targetPageCount: 0, clock: { UInt64(bitPattern: clock.nanoseconds) })
    card = .balloon(balloon, context: bench.context)
    guard let device = card.transport.model as? VirtioBalloon else {
      fatalError("the model is another")
    }
    self.device = device
    server = VirtioBalloonServer(device)
    queues = FuzzVirtqueues(
      bench.memory, sizes: Array(repeating: 16, count: Self.queueCount))
  }

  func run(_ input: FuzzInput) {
    balloon.attach(device)
    powerOn(input)
    input.drive(step, serve: serve)
    balloon.detach(device)
  }

  private func serve() {
    // Statistics may be asked for again.
    clock.advance(by: 2_000_000_000)
    let before = balloon.activity
    let isThere = card.transport.link.queues.contains { $0.isLive }
    while let item = device.work.nextIfWaiting() { server.serve(item) }
    card.requireDriver()
    let given = balloon.activity.givenBackByteCount - before.givenBackByteCount
    require(given % 4096 == 0, "a part of a page was given back")
    require(isThere || given == 0, "pages were given back without a driver")
  }

  private func powerOn(_ input: FuzzInput) {
    card.reset()
    card.setCommand(6)
    bench.clear()
    let choice = input.byte
    queues.powerOn(isPacked: choice & 1 == 1)
    guard choice & 0x80 == 0 else { return }
    var own: VirtioFeatures = .ofBalloon
    if choice & 8 != 0 { own.remove(.balloonStatistics) }
    if choice & 16 != 0 { own.remove(.pagePoison) }
    queues.begin(card, queues.features(choice).union(own), first: 0)
  }

  // MARK: Steps

  private func step(_ input: FuzzInput) {
    let action = input.byte
    let queue = Int(action >> 4 & 3)
    switch action & 15 {
    case 0...3: give(input, queue)
    case 4, 5:
      // Whole pages, or nearly.
      let start = UInt64(input.byte) << 12
      let byteCount = UInt32(input.byte & 0x1F) << 12 | (action & 0x80 == 0 ? 0 : 1)
      queues.put(queue, start, byteCount, flags: 2, link: 0)
      card.notify(queue)
    case 6, 7:
      queues.put(
        queue, address(input), UInt32(truncatingIfNeeded: input.anyMagnitude),
        flags: input.pick(Self.flags), link: UInt16(input.byte & 0x1F))
      if action & 0x80 == 0 { card.notify(queue) }
    case 8: card.notify(queue)
    case 9:
      queues.setDescriptor(
        Self.data + 16 * UInt64(input.byte), address(input), UInt32(input.uint16),
        flags: input.pick(Self.flags), link: UInt16(input.byte & 0x1F))
    case 10:
      card.writeBAR(
        0, offset: UInt64(input.uint16 & 0x3FFF), width: 1 << input.index(below: 4),
        value: input.anyMagnitude)
    case 11:
      // *actual*, *poison_val* and their neighbours.
      card.writeBAR(
        0, offset: VirtioTransport.Region.configuration + UInt64(input.byte & 0x1F), width: 4,
        value: input.anyMagnitude)
    case 12: balloon.targetPageCount = UInt32(truncatingIfNeeded: input.anyMagnitude)
    case 13: card.configure(input)
    case 14:
      card.setCommon(Offset.queueSelect, UInt64(queue), width: 2)
      card.setCommon(Offset.queueReset, 1, width: 2)
      if action & 0x80 == 0 { card.setCommon(Offset.queueEnable, 1, width: 2) }
    default:
      if action & 0x80 == 0 {
        powerOn(input)
      } else {
        try? memory.store(input.uint16, at: queues.availableIndex(queue))
      }
    }
  }

  /// A list of page numbers, or statistics, by the queue.
  private func give(_ input: FuzzInput, _ queue: Int) {
    let place = Self.data + 0x1_0000 + UInt64(input.byte & 0xF) << 8
    let bytes = input.bytes(Int(input.byte & 0x7F))
    let pages = bytes.flatMap { [$0, 0, 0, 0] as [UInt8] }
    let isList = queue < 2 && input.bool
    try? memory.write(isList ? pages : bytes, at: GPA(place))
    queues.put(
      queue, place, UInt32(isList ? pages.count : bytes.count), flags: 0, link: 0)
    card.notify(queue)
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
