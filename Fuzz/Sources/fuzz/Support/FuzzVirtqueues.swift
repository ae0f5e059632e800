internal import GuestMemory

@testable internal import DeviceKit
@testable internal import Devices

/// What a driver of virtio devices under fuzzing has in guest memory: queues of either kind, laid
/// out one after the other, of one device or of several.
struct FuzzVirtqueues {
  private typealias Offset = VirtioRegisters.Offset

  /// A queue's areas, a page each.
  static let rings: UInt64 = 0x1_0000

  private let memory: GuestMemory
  private let sizes: [UInt16]
  /// Where the driver is in the rings.
  private var next: [UInt16]
  private var wraps: [Bool]
  private var isPacked = false

  init(_ memory: GuestMemory, sizes: [UInt16]) {
    self.memory = memory
    self.sizes = sizes
    next = Array(repeating: 0, count: sizes.count)
    wraps = Array(repeating: true, count: sizes.count)
  }

  mutating func powerOn(isPacked: Bool) {
    self = FuzzVirtqueues(memory, sizes: sizes)
    self.isPacked = isPacked
  }

  /// The transport's features by three bits of the input.
  func features(_ choice: UInt8) -> VirtioFeatures {
    var features: VirtioFeatures = [.version1]
    if isPacked { features.insert(.packedRing) }
    if choice & 2 != 0 { features.insert(.eventIndex) }
    if choice & 4 == 0 { features.insert(.indirectDescriptors) }
    return features
  }

  /// As drivers begin: features, all queues, ready.
  ///
  /// - Parameter first: which of these queues is the device's first.
  func begin(_ device: VirtioPCIDevice, _ features: VirtioFeatures, first: Int) {
    device.setCommon(Offset.status, 3, width: 1)
    for half in 0..<2 as Range<UInt64> {
      device.setCommon(Offset.driverFeatureSelect, half, width: 4)
      device.setCommon(
        Offset.driverFeature, features.rawValue >> (32 * half) & 0xFFFF_FFFF, width: 4)
    }
    device.setCommon(Offset.status, 0x0B, width: 1)
    for index in device.transport.link.queues.indices {
      let queue = first + index
      device.setCommon(Offset.queueSelect, UInt64(index), width: 2)
      device.setCommon(Offset.queueSize, UInt64(sizes[queue]), width: 2)
      for area in 0..<3 {
        device.setCommon(
          Offset.descriptors + 8 * area, ring(queue) + 0x1000 * UInt64(area), width: 8)
      }
      device.setCommon(Offset.queueEnable, 1, width: 2)
    }
    device.setCommon(Offset.status, 0x0F, width: 1)
  }

  private func ring(_ queue: Int) -> UInt64 { Self.rings + 0x4000 * UInt64(queue) }

  /// *idx* of a split ring.
  func availableIndex(_ queue: Int) -> GPA { GPA(ring(queue) + 0x1002) }

  /// The descriptor behind the next one.
  func linkBehind(_ queue: Int) -> UInt16 { (next[queue] + 1) % sizes[queue] }

  /// Puts one descriptor, and makes it available.
  mutating func put(
    _ queue: Int, _ address: UInt64, _ byteCount: UInt32, flags: UInt16, link: UInt16
  ) {
    let index = next[queue]
    let lap: UInt16 = wraps[queue] ? 0x80 : 0x8000
    setDescriptor(
      ring(queue) + 16 * UInt64(index), address, byteCount,
      flags: isPacked ? flags ^ lap : flags, link: link)
    next[queue] += 1
    if next[queue] == sizes[queue] {
      next[queue] = 0
      wraps[queue].toggle()
    }
    guard !isPacked else { return }
    let driver = ring(queue) + 0x1000
    let available: UInt16 = (try? memory.load(at: GPA(driver + 2))) ?? 0
    try? memory.store(index, at: GPA(driver + 4 + 2 * UInt64(available % sizes[queue])))
    try? memory.store(available &+ 1, at: GPA(driver + 2))
  }

  /// Makes the last descriptor available no more: it is part of the one before. In a packed ring
  /// its flags say so.
  func takeBack(_ queue: Int) {
    guard !isPacked else { return }
    let place = availableIndex(queue)
    let available: UInt16 = (try? memory.load(at: place)) ?? 0
    try? memory.store(available &- 1, at: place)
  }

  func setDescriptor(
    _ place: UInt64, _ address: UInt64, _ byteCount: UInt32, flags: UInt16, link: UInt16
  ) {
    try? memory.store(address, at: GPA(place))
    try? memory.store(byteCount, at: GPA(place + 8))
    try? memory.store(isPacked ? link : flags, at: GPA(place + 12))
    try? memory.store(isPacked ? flags : link, at: GPA(place + 14))
  }
}

extension VirtioPCIDevice {
  func setCommon(_ offset: Int, _ value: UInt64, width: Int) {
    writeBAR(0, offset: UInt64(offset), width: width, value: value)
  }

  func notify(_ queue: Int) {
    typealias Region = VirtioTransport.Region
    writeBAR(
      0, offset: Region.notify + Region.notifyMultiplier * UInt64(queue), width: 2,
      value: UInt64(queue))
  }

  func requireDriver() {
    let status = VirtioStatus(
      rawValue: UInt8(
        truncatingIfNeeded: readBAR(0, offset: UInt64(VirtioRegisters.Offset.status), width: 1)))
    require(
      status.contains(.driverOK) || !transport.link.queues.contains { $0.isLive },
      "a queue works without a driver")
  }

  /// *Command* or any other register; in the end the window of the capability is among them.
  func configure(_ input: FuzzInput) {
    let offset = input.bool ? PCIRegister.command : Int(input.byte)
    let (width, value) = (1 << input.index(below: 3), input.anyMagnitude)
    configuration.write(offset: offset, width: width, value: value)
    endpoint.configurationChanged()
    configurationChanged()
    configurationWritten(offset: offset, width: width)
    configurationWillBeRead(offset: offset, width: width)
  }
}
