internal import DeviceKit

/// Which frames a card takes, as its driver has set it (virtio 1.2 §5.1.6.5.1 and §5.1.6.5.2).
struct VirtioNetFilter: Sendable {
  /// Addresses of each kind; a driver that names more gets the whole kind.
  static let maximumAddressCount = 64

  /// *VIRTIO_NET_CTRL_RX_…*, by its number.
  enum Mode: UInt8, CaseIterable {
    case promiscuous
    case allMulticast
    case allUnicast
    case noMulticast
    case noUnicast
    case noBroadcast
  }

  var address: EthernetAddress
  /// Everything, until the driver says otherwise, which one without the control queue never does.
  private var modes: Set<UInt8> = [Mode.promiscuous.rawValue]
  private var addresses: Set<EthernetAddress> = []
  private var hasAllUnicast = false
  private var hasAllMulticast = false

  init(address: EthernetAddress) {
    self.address = address
  }

  mutating func set(_ mode: Mode, _ isOn: Bool) {
    if isOn {
      modes.insert(mode.rawValue)
    } else {
      modes.remove(mode.rawValue)
    }
  }

  /// Replaces the table.
  mutating func setTable(unicast: [EthernetAddress], multicast: [EthernetAddress]) {
    hasAllUnicast = unicast.count > Self.maximumAddressCount
    hasAllMulticast = multicast.count > Self.maximumAddressCount
    addresses = Set(hasAllUnicast ? [] : unicast).union(hasAllMulticast ? [] : multicast)
  }

  /// Whether a frame to this address is taken.
  func takes(_ destination: EthernetAddress) -> Bool {
    func has(_ mode: Mode) -> Bool { modes.contains(mode.rawValue) }
    if has(.promiscuous) { return true }
    if destination == .broadcast { return !has(.noBroadcast) }
    if destination.isGroup {
      if has(.noMulticast) { return false }
      return has(.allMulticast) || hasAllMulticast || addresses.contains(destination)
    }
    if has(.noUnicast) { return false }
    return destination == address || has(.allUnicast) || hasAllUnicast
      || addresses.contains(destination)
  }
}

extension VirtioNetFilter {
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try address.transfer(&transfer)
    // A bit for each mode.
    var bits = modes.reduce(UInt8(0)) { $0 | 1 << $1 }
    try transfer.integer(&bits, in: 0...(1 << UInt8(Mode.allCases.count) - 1))
    // Sets have no order, and what is saved twice is to be the same.
    var table = addresses.sorted { $0.rawValue < $1.rawValue }
    try transfer.elements(
      &table, maximumCount: 2 * Self.maximumAddressCount, new: EthernetAddress(rawValue: 0)
    ) { (transfer, address) throws(StateError) in
      try address.transfer(&transfer)
    }
    try transfer.flag(&hasAllUnicast)
    try transfer.flag(&hasAllMulticast)
    guard transfer.isRestoring else { return }
    modes = Set(Mode.allCases.map(\.rawValue).filter { bits >> $0 & 1 == 1 })
    addresses = Set(table)
  }
}

extension EthernetAddress {
  fileprivate mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    var value = rawValue
    try transfer.integer(&value, in: 0...Self.broadcast.rawValue)
    self = EthernetAddress(rawValue: value)
  }
}
