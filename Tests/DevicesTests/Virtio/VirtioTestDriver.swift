import Bytes
import DeviceKit
import GuestMemory
import HostSystem
import Sandbox
import TestSupport
import Testing

@testable import Devices

/// A virtio device with guest memory, as a driver finds it: by its capabilities. The device's
/// threads, and the one that reads and writes its registers, are under the filters of the
/// program's.
final class VirtioTestDriver {
  typealias Offset = VirtioRegisters.Offset

  static let address = PCIAddress(device: 1)
  static let window: UInt64 = 0xE000_0000

  let memory: GuestMemory
  let device: VirtioPCIDevice
  let sink = RecordingSink()
  let line = RecordingLine()
  let vcpu = RoleThread(.vcpu)
  let host: PCIHost
  /// Where the structures are, by *cfg_type*: found, not known.
  private(set) var structures: [UInt8: UInt64] = [:]
  private(set) var notifyMultiplier: UInt64 = 0

  /// - Parameters:
  ///   - memory: nil for 4 MiB.
  ///   - role: whose filter the device's threads are under.
  init(
    memory: GuestMemory? = nil, starts: Bool = true, role: ThreadRole = .disk,
    _ make: (PCIContext) -> VirtioPCIDevice
  ) throws {
    self.memory = try memory ?? GuestMemory(layout: GuestMemoryLayout(ramByteCount: 4 << 20))
    device = make(
      PCIContext(
        memory: self.memory, messages: sink, interruptLine: line,
        onThreadStart: { ThreadFilter.enter(role) }))
    host = PCIHost([(Self.address, device)])
    configure(0x10, 4, Self.window)
    configure(0x04, 2, 6)
    if starts { try device.start() }
    find()
  }

  /// The driver after its device was saved and restored into another one over the same memory:
  /// that one is as new, not started, and has configuration registers as the first one.
  convenience init(
    insteadOf other: VirtioTestDriver, role: ThreadRole = .disk,
    _ make: (PCIContext) -> VirtioPCIDevice
  ) throws {
    try self.init(memory: other.memory, starts: false, role: role, make)
    if other.device.endpoint.usesMSIX { useMSIX() }
  }

  deinit {
    device.stop()
  }

  /// All that can be read without an effect: registers but those of queues that are not selected,
  /// and the device's own configuration.
  static func registers(_ device: VirtioPCIDevice) -> [UInt64] {
    [0x0000, 0x2000].flatMap { start in
      (0..<0x40).map { device.readBAR(0, offset: UInt64(start + $0), width: 1) }
    }
  }

  private func find() {
    var place = Int(configuration(0x34, 1))
    while place != 0 {
      if configuration(place, 1) == 9 {
        let kind = UInt8(configuration(place + 3, 1))
        structures[kind] = configuration(place + 8, 4)
        if kind == 2 { notifyMultiplier = configuration(place + 16, 4) }
      }
      place = Int(configuration(place + 1, 1))
    }
  }

  // MARK: Accesses

  func configure(_ offset: Int, _ width: Int, _ value: UInt64) {
    vcpu.run { [host] in
      host.writeConfiguration(Self.address, offset: offset, width: width, value: value)
    }
  }

  func configuration(_ offset: Int, _ width: Int) -> UInt64 {
    vcpu.run { [host] in
      host.readConfiguration(Self.address, offset: offset, width: width)
        & (1 << UInt64(8 * width) - 1)
    }
  }

  /// The offset in memory of the capability of a structure, in the configuration.
  func capability(of kind: UInt8) -> Int {
    var place = Int(configuration(0x34, 1))
    while place != 0, configuration(place, 1) != 9 || configuration(place + 3, 1) != UInt64(kind) {
      place = Int(configuration(place + 1, 1))
    }
    return place
  }

  func write(_ kind: UInt8, _ offset: Int, _ width: Int, _ value: UInt64) {
    let place = Self.window + structures[kind, default: 0] + UInt64(offset)
    vcpu.run { [host] in _ = host.writeMemory(place, width: width, value: value) }
  }

  func read(_ kind: UInt8, _ offset: Int, _ width: Int) -> UInt64 {
    let place = Self.window + structures[kind, default: 0] + UInt64(offset)
    let value = vcpu.run { [host] in host.readMemory(place, width: width) ?? .max }
    return width == 8 ? value : value & (1 << UInt64(8 * width) - 1)
  }

  func common(_ offset: Int, _ width: Int) -> UInt64 { read(1, offset, width) }

  func setCommon(_ offset: Int, _ width: Int, _ value: UInt64) { write(1, offset, width, value) }

  var status: VirtioStatus {
    get { VirtioStatus(rawValue: UInt8(common(Offset.status, 1))) }
    set { setCommon(Offset.status, 1, UInt64(newValue.rawValue)) }
  }

  // MARK: As drivers begin

  var offered: VirtioFeatures {
    var bits: UInt64 = 0
    for half in 0..<2 as Range<UInt64> {
      setCommon(Offset.deviceFeatureSelect, 4, half)
      bits |= common(Offset.deviceFeature, 4) << (32 * half)
    }
    return VirtioFeatures(rawValue: bits)
  }

  func accept(_ features: VirtioFeatures) {
    for half in 0..<2 as Range<UInt64> {
      setCommon(Offset.driverFeatureSelect, 4, half)
      setCommon(Offset.driverFeature, 4, features.rawValue >> (32 * half) & 0xFFFF_FFFF)
    }
  }

  /// Reset, acknowledge, features.
  ///
  /// - Returns: whether the device took them.
  @discardableResult
  func negotiate(_ features: VirtioFeatures) -> Bool {
    status = []
    status = .acknowledge
    status = [.acknowledge, .driver]
    accept(features)
    status = [.acknowledge, .driver, .featuresOK]
    return status.contains(.featuresOK)
  }

  /// Lays a queue out and enables it.
  func enable(_ queue: Int, _ ring: TestRing, vector: UInt16 = .max) {
    setCommon(Offset.queueSelect, 2, UInt64(queue))
    setCommon(Offset.queueSize, 2, UInt64(ring.size))
    setCommon(Offset.queueVector, 2, UInt64(vector))
    for (area, address) in [ring.descriptors, ring.driver, ring.device].enumerated() {
      setCommon(Offset.descriptors + 8 * area, 4, address & 0xFFFF_FFFF)
      setCommon(Offset.descriptors + 8 * area + 4, 4, address >> 32)
    }
    setCommon(Offset.queueEnable, 2, 1)
  }

  func ready() {
    status = [.acknowledge, .driver, .featuresOK, .driverOK]
  }

  func notify(_ queue: Int) {
    setCommon(Offset.queueSelect, 2, UInt64(queue))
    let offset = common(Offset.notifyOffset, 2) * notifyMultiplier
    write(2, Int(offset), 2, UInt64(queue))
  }

  /// All vectors on, with their numbers as data.
  func useMSIX() {
    for vector in 0..<UInt64(device.endpoint.vectorCount) {
      let entry = Self.window + 0x4000 + 16 * vector
      vcpu.run { [host] in
        _ = host.writeMemory(entry, width: 8, value: 0xFEE0_0000)
        _ = host.writeMemory(entry + 8, width: 8, value: vector)
      }
    }
    var place = Int(configuration(0x34, 1))
    while configuration(place, 1) != 0x11 { place = Int(configuration(place + 1, 1)) }
    configure(place + 2, 2, 0x8000)
  }
}
