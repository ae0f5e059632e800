internal import DeviceKit

// The feature bits of network cards (virtio 1.2 §5.1.3).
extension VirtioFeatures {
  /// *VIRTIO_NET_F_CSUM*: the device completes checksums.
  static let checksum = VirtioFeatures(rawValue: 1 << 0)
  /// *VIRTIO_NET_F_GUEST_CSUM*: the driver takes frames without.
  static let guestChecksum = VirtioFeatures(rawValue: 1 << 1)
  /// *VIRTIO_NET_F_CTRL_GUEST_OFFLOADS*: the driver says later what it takes.
  static let controlGuestOffloads = VirtioFeatures(rawValue: 1 << 2)
  /// *VIRTIO_NET_F_MTU*: the device says how much a frame carries.
  static let mtu = VirtioFeatures(rawValue: 1 << 3)
  /// *VIRTIO_NET_F_MAC*: the device has an address.
  static let macAddress = VirtioFeatures(rawValue: 1 << 5)
  /// *VIRTIO_NET_F_GUEST_TSO4*, *_TSO6*, *_ECN*: the driver takes large segments of TCP.
  static let guestTCP4 = VirtioFeatures(rawValue: 1 << 7)
  static let guestTCP6 = VirtioFeatures(rawValue: 1 << 8)
  static let guestECN = VirtioFeatures(rawValue: 1 << 9)
  /// *VIRTIO_NET_F_HOST_TSO4*, *_TSO6*, *_ECN*: the device cuts large segments of TCP.
  static let hostTCP4 = VirtioFeatures(rawValue: 1 << 11)
  static let hostTCP6 = VirtioFeatures(rawValue: 1 << 12)
  static let hostECN = VirtioFeatures(rawValue: 1 << 13)
  /// *VIRTIO_NET_F_MRG_RXBUF*: a frame may lie in several buffers.
  static let mergeableBuffers = VirtioFeatures(rawValue: 1 << 15)
  /// *VIRTIO_NET_F_STATUS*: the device says whether there is a link.
  static let linkStatus = VirtioFeatures(rawValue: 1 << 16)
  /// *VIRTIO_NET_F_CTRL_VQ*, *_RX*, *_RX_EXTRA*, *_MAC_ADDR*: the driver says what it receives.
  static let controlQueue = VirtioFeatures(rawValue: 1 << 17)
  static let controlReceive = VirtioFeatures(rawValue: 1 << 18)
  static let controlReceiveMore = VirtioFeatures(rawValue: 1 << 20)
  static let controlAddress = VirtioFeatures(rawValue: 1 << 23)
  /// *VIRTIO_NET_F_MQ*: the device has several queue pairs, and the driver says how many it uses.
  static let multiQueue = VirtioFeatures(rawValue: 1 << 22)

  /// What a card at the end of this cable offers.
  static func ofNetwork(_ backend: any NetworkBackend) -> VirtioFeatures {
    var features: VirtioFeatures = [
      .macAddress, .mergeableBuffers, .linkStatus, .controlQueue, .controlReceive,
      .controlReceiveMore, .controlAddress,
    ]
    if backend.mtu != nil { features.insert(.mtu) }
    if VirtioNet.pairCount(backend) > 1 { features.insert(.multiQueue) }
    let offloads = backend.offloads
    guard offloads.contains(.checksum) else { return features }
    features.formUnion([.checksum, .guestChecksum, .controlGuestOffloads])
    if offloads.contains(.tcp4) { features.formUnion([.hostTCP4, .guestTCP4]) }
    if offloads.contains(.tcp6) { features.formUnion([.hostTCP6, .guestTCP6]) }
    if offloads.contains(.ecn) { features.formUnion([.hostECN, .guestECN]) }
    return features
  }

  /// What the driver takes unfinished. Without checksums nothing else is (§5.1.3.1).
  var receiveOffloads: NetworkOffloads {
    guard contains(.guestChecksum) else { return [] }
    var offloads: NetworkOffloads = .checksum
    if contains(.guestTCP4) { offloads.insert(.tcp4) }
    if contains(.guestTCP6) { offloads.insert(.tcp6) }
    if contains(.guestECN) { offloads.insert(.ecn) }
    return offloads
  }
}
