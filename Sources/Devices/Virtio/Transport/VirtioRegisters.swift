internal import Bytes
internal import DeviceKit

/// The common configuration of a virtio device (*virtio_pci_common_cfg*, virtio 1.2 §4.1.4.3): what
/// its driver negotiates. A value without a lock.
struct VirtioRegisters: Sendable {
  /// Where the registers are.
  enum Offset {
    static let deviceFeatureSelect = 0x00
    static let deviceFeature = 0x04
    static let driverFeatureSelect = 0x08
    static let driverFeature = 0x0C
    static let configurationVector = 0x10
    static let queueCount = 0x12
    static let status = 0x14
    static let generation = 0x15
    static let queueSelect = 0x16
    static let queueSize = 0x18
    static let queueVector = 0x1A
    static let queueEnable = 0x1C
    static let notifyOffset = 0x1E
    static let descriptors = 0x20
    static let driverArea = 0x28
    static let deviceArea = 0x30
    static let notifyData = 0x38
    static let queueReset = 0x3A
    static let end = 0x40
  }

  /// One queue's registers.
  struct Queue: Sendable {
    var size: UInt16
    var vector = VirtioSignals.noVector
    var isEnabled = false
    /// Addresses of descriptors, driver area and device area.
    var areas: [3 of UInt64] = [0, 0, 0]
  }

  /// What a write leads to beside the register.
  enum Change: Equatable {
    case none
    case reset
    /// *DRIVER_OK* became 1: the enabled queues begin.
    case started
    /// A queue begins, as *DRIVER_OK* is 1 already.
    case queueEnabled(Int)
    case queueReset(Int)
    /// The vector of a queue, or of the configuration (nil).
    case vector(Int?, UInt16)
  }

  private let offered: VirtioFeatures
  private let sizes: [UInt16]
  private var deviceFeatureSelect: UInt32 = 0
  private var driverFeatureSelect: UInt32 = 0
  private var queueSelect: UInt16 = 0
  private(set) var status: VirtioStatus = []
  /// What the driver took, for good once *FEATURES_OK* is set.
  private(set) var driverFeatures: VirtioFeatures = []
  private(set) var queues: [Queue]
  private var configurationVector = VirtioSignals.noVector

  init(offered: VirtioFeatures, queueSizes: [UInt16]) {
    self.offered = offered
    sizes = queueSizes
    queues = queueSizes.map { Queue(size: $0) }
  }

  // MARK: Reads

  /// The registers' bytes.
  ///
  /// - Parameters:
  ///   - needsReset: shown in the status.
  ///   - generation: *config_generation*.
  func bytes(needsReset: Bool, generation: UInt8) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Offset.end)
    bytes.storeLE(deviceFeatureSelect, at: Offset.deviceFeatureSelect)
    bytes.storeLE(Self.half(offered, deviceFeatureSelect), at: Offset.deviceFeature)
    bytes.storeLE(driverFeatureSelect, at: Offset.driverFeatureSelect)
    bytes.storeLE(Self.half(driverFeatures, driverFeatureSelect), at: Offset.driverFeature)
    bytes.storeLE(configurationVector, at: Offset.configurationVector)
    bytes.storeLE(UInt16(queues.count), at: Offset.queueCount)
    bytes[Offset.status] = status.union(needsReset ? .needsReset : []).rawValue
    bytes[Offset.generation] = generation
    bytes.storeLE(queueSelect, at: Offset.queueSelect)
    guard let index = selected else { return bytes }
    let queue = queues[index]
    bytes.storeLE(queue.size, at: Offset.queueSize)
    bytes.storeLE(queue.vector, at: Offset.queueVector)
    bytes.storeLE(UInt16(queue.isEnabled ? 1 : 0), at: Offset.queueEnable)
    bytes.storeLE(UInt16(index), at: Offset.notifyOffset)
    for area in 0..<3 { bytes.storeLE(queue.areas[area], at: Offset.descriptors + 8 * area) }
    bytes.storeLE(UInt16(index), at: Offset.notifyData)
    return bytes
  }

  private static func half(_ features: VirtioFeatures, _ select: UInt32) -> UInt32 {
    select < 2 ? UInt32(truncatingIfNeeded: features.rawValue >> (32 * UInt64(select))) : 0
  }

  /// The queue that the driver selected; nil if there is none of its number.
  private var selected: Int? { queues.indices.contains(Int(queueSelect)) ? Int(queueSelect) : nil }

  // MARK: Writes

  /// Takes a write of a register in its own width, of an address also by halves; others are
  /// dropped.
  mutating func write(_ offset: Int, width: Int, _ value: UInt64) -> Change {
    let word = UInt32(truncatingIfNeeded: value)
    let short = UInt16(truncatingIfNeeded: value)
    switch (offset, width) {
    case (Offset.deviceFeatureSelect, 4): deviceFeatureSelect = word
    case (Offset.driverFeatureSelect, 4): driverFeatureSelect = word
    case (Offset.driverFeature, 4): takeFeatures(word)
    case (Offset.configurationVector, 2): return .vector(nil, short)
    case (Offset.status, 1):
      return takeStatus(VirtioStatus(rawValue: UInt8(truncatingIfNeeded: value)))
    case (Offset.queueSelect, 2): queueSelect = short
    default:
      guard let index = selected else { return .none }
      return writeQueue(index, offset, width, value)
    }
    return .none
  }

  private mutating func takeFeatures(_ half: UInt32) {
    guard !status.contains(.featuresOK), driverFeatureSelect < 2 else { return }
    let shift = 32 * UInt64(driverFeatureSelect)
    driverFeatures = VirtioFeatures(
      rawValue: driverFeatures.rawValue & ~(0xFFFF_FFFF << shift) | UInt64(half) << shift)
  }

  /// Bits stay until a reset. *FEATURES_OK* stays 0 for a choice that the device does not take.
  private mutating func takeStatus(_ value: VirtioStatus) -> Change {
    guard !value.isEmpty else { return .reset }
    let wasReady = status.contains(.driverOK)
    var new = value.intersection(.writable)
    if !status.contains(.featuresOK) {
      if !driverFeatures.isSubset(of: offered) || !driverFeatures.contains(.version1) {
        new.remove(.featuresOK)
      }
      // Ready without features is no driver of today's.
      if !new.contains(.featuresOK) { new.remove(.driverOK) }
    }
    status.formUnion(new)
    return status.contains(.driverOK) && !wasReady ? .started : .none
  }

  private mutating func writeQueue(
    _ index: Int, _ offset: Int, _ width: Int, _ value: UInt64
  ) -> Change {
    let short = UInt16(truncatingIfNeeded: value)
    switch (offset, width) {
    case (Offset.queueVector, 2): return .vector(index, short)
    case (Offset.queueReset, 2):
      guard short == 1, driverFeatures.contains(.ringReset), status.contains(.driverOK) else {
        return .none
      }
      let vector = queues[index].vector
      queues[index] = Queue(size: sizes[index])
      queues[index].vector = vector
      return .queueReset(index)
    // The driver changes nothing of a queue that works.
    case _ where queues[index].isEnabled: return .none
    case (Offset.queueSize, 2):
      if (1...sizes[index]).contains(short) { queues[index].size = short }
    case (Offset.queueEnable, 2):
      guard short == 1 else { return .none }
      queues[index].isEnabled = true
      return status.contains(.driverOK) ? .queueEnabled(index) : .none
    case (Offset.descriptors..<Offset.notifyData, 4), (Offset.descriptors..<Offset.notifyData, 8):
      let (area, part) = (offset - Offset.descriptors).quotientAndRemainder(dividingBy: 8)
      guard part % 4 == 0, part + width <= 8 else { return .none }
      let shift = 8 * UInt64(part)
      let mask: UInt64 = width == 8 ? .max : 0xFFFF_FFFF << shift
      queues[index].areas[area] = queues[index].areas[area] & ~mask | value << shift & mask
    default: break
    }
    return .none
  }

  /// Takes over the vector that the device gave (`VirtioSignals.setVector`).
  mutating func setVector(_ vector: UInt16, of queue: Int?) {
    if let queue {
      queues[queue].vector = vector
    } else {
      configurationVector = vector
    }
  }
}

extension VirtioRegisters {
  /// - Parameter vectorCount: vectors of MSI-X that there are.
  mutating func transfer(
    _ transfer: inout StateTransfer, vectorCount: Int
  ) throws(StateError) {
    try transfer.integer(&deviceFeatureSelect)
    try transfer.integer(&driverFeatureSelect)
    try transfer.integer(&queueSelect)
    try transfer.value(&status)
    try transfer.value(&driverFeatures)
    try Self.transfer(&transfer, vector: &configurationVector, vectorCount)
    var number = 0
    try transfer.elements(&queues) { [sizes] (transfer, queue) throws(StateError) in
      try transfer.integer(&queue.size, in: 1...sizes[number])
      try Self.transfer(&transfer, vector: &queue.vector, vectorCount)
      try transfer.flag(&queue.isEnabled)
      for area in queue.areas.indices { try transfer.integer(&queue.areas[area]) }
      number += 1
    }
    let isNegotiated = status.contains(.featuresOK)
    try transfer.check(
      status.isSubset(of: .writable) && (isNegotiated || !status.contains(.driverOK)),
      "a status of \(status.rawValue)")
    try transfer.check(
      !isNegotiated || driverFeatures.isSubset(of: offered) && driverFeatures.contains(.version1),
      "features that were not offered")
  }

  private static func transfer(
    _ transfer: inout StateTransfer, vector: inout UInt16, _ vectorCount: Int
  ) throws(StateError) {
    try transfer.integer(&vector)
    try transfer.check(
      vector == VirtioSignals.noVector || Int(vector) < vectorCount, "vector \(vector)")
  }

  /// Of each queue, then of the configuration.
  var vectors: [UInt16] { queues.map(\.vector) + [configurationVector] }
}
