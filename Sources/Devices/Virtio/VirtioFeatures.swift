/// Feature bits (virtio 1.2 §6): what a device offers, and what its driver takes of it.
package struct VirtioFeatures: OptionSet, Hashable, Sendable {
  package let rawValue: UInt64

  package init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  /// *VIRTIO_F_INDIRECT_DESC*: descriptors in tables of their own.
  package static let indirectDescriptors = VirtioFeatures(rawValue: 1 << 28)
  /// *VIRTIO_F_EVENT_IDX*: each side says at which entry it wants to be notified.
  package static let eventIndex = VirtioFeatures(rawValue: 1 << 29)
  /// *VIRTIO_F_VERSION_1*: drivers without it are refused.
  package static let version1 = VirtioFeatures(rawValue: 1 << 32)
  /// *VIRTIO_F_RING_PACKED*: packed virtqueues; split ones without it.
  package static let packedRing = VirtioFeatures(rawValue: 1 << 34)
  /// *VIRTIO_F_RING_RESET*: a queue can be reset alone.
  package static let ringReset = VirtioFeatures(rawValue: 1 << 40)

  /// What every device here offers beside its own.
  static let ofTransport: VirtioFeatures = [
    .indirectDescriptors, .eventIndex, .version1, .packedRing, .ringReset,
  ]
}

/// The status register (virtio 1.2 §2.1).
struct VirtioStatus: OptionSet, Hashable, Sendable {
  let rawValue: UInt8

  /// *ACKNOWLEDGE* and *DRIVER*: a driver was found. Stored.
  static let acknowledge = VirtioStatus(rawValue: 1)
  static let driver = VirtioStatus(rawValue: 2)
  /// *DRIVER_OK*: the driver is ready, and the device works.
  static let driverOK = VirtioStatus(rawValue: 4)
  /// *FEATURES_OK*: the device takes what the driver chose.
  static let featuresOK = VirtioStatus(rawValue: 8)
  /// *DEVICE_NEEDS_RESET*: the driver broke the rules of a queue, which is of no use any more.
  static let needsReset = VirtioStatus(rawValue: 64)
  /// *FAILED*: the driver gave up. Stored.
  static let failed = VirtioStatus(rawValue: 128)

  /// What a driver can set.
  static let writable: VirtioStatus = [.acknowledge, .driver, .driverOK, .featuresOK, .failed]
}
