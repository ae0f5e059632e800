internal import DeviceKit

/// A root port, with what is plugged in. Source: xHCI 1.2 §4.19, §5.4.8.
struct XHCIPort: Sendable {
  /// Bits of *PORTSC*.
  private enum Bit {
    static let connected: UInt32 = 1 << 0
    static let enabled: UInt32 = 1 << 1
    static let reset: UInt32 = 1 << 4
    static let power: UInt32 = 1 << 9
    static let linkStateWrite: UInt32 = 1 << 16
    static let connectChange: UInt32 = 1 << 17
    static let resetChange: UInt32 = 1 << 21
    static let linkChange: UInt32 = 1 << 22
    static let changes: UInt32 = 0x7F << 17
    static let wakes: UInt32 = 7 << 25
  }

  /// *Port Link State*.
  enum Link {
    static let active: UInt32 = 0
    static let suspended: UInt32 = 3
    static let disabled: UInt32 = 4
    static let detecting: UInt32 = 5
    static let polling: UInt32 = 7
    static let resume: UInt32 = 15
  }

  /// *Port Speed* of a device: high speed.
  private static let speed: UInt32 = 3

  let isUSB3: Bool
  /// Nil for an empty port.
  var device: HIDDevice?
  private(set) var link: UInt32
  private(set) var isEnabled = false
  private var changes: UInt32 = 0
  private var wakes: UInt32 = 0
  /// *PORTPMSC* and *PORTHLPMC*: stored.
  private var powerManagement: UInt32 = 0
  private var hardwareManagement: UInt32 = 0
  /// Whether the guest is to get an event.
  var hasEvent = false

  /// A port as after power-on.
  init(isUSB3: Bool, device: HIDDevice? = nil) {
    self.isUSB3 = isUSB3
    self.device = device
    link = isUSB3 ? Link.detecting : Link.polling
    reset()
  }

  /// As after power-on; what is plugged in is noticed anew.
  mutating func reset() {
    device?.reset()
    link = isUSB3 || device == nil ? Link.detecting : Link.polling
    isEnabled = false
    changes = 0
    wakes = 0
    powerManagement = 0
    hardwareManagement = 0
    hasEvent = false
    if device != nil { note(Bit.connectChange) }
  }

  /// Whether transfers reach the device.
  var isActive: Bool { device != nil && isEnabled && link == Link.active }

  /// Whether the device is asleep, or on its way up, and may wake the guest.
  var mayWake: Bool {
    isEnabled && (link == Link.suspended || link == Link.resume) && device?.mayWakeHost == true
  }

  private mutating func note(_ change: UInt32) {
    if changes & change == 0 { hasEvent = true }
    changes |= change
  }

  /// Wakes the guest, if it put the device to sleep and wants to be woken.
  mutating func wake() {
    guard isEnabled, link == Link.suspended, device?.mayWakeHost == true else { return }
    link = Link.resume
    note(Bit.linkChange)
  }

  /// - Parameter offset: in the port's four registers.
  func read(_ offset: UInt64) -> UInt32 {
    switch offset {
    case 0x0:
      (device == nil ? 0 : Bit.connected | Self.speed << 10) | (isEnabled ? Bit.enabled : 0)
        | link << 5 | Bit.power | changes | wakes
    case 0x4: powerManagement
    case 0xC: hardwareManagement
    default: 0
    }
  }

  mutating func write(_ offset: UInt64, _ value: UInt32) {
    switch offset {
    case 0x0: writeStatus(value)
    case 0x4: powerManagement = value
    case 0xC: hardwareManagement = value
    default: break
    }
  }

  private mutating func writeStatus(_ value: UInt32) {
    changes &= ~(value & Bit.changes)
    wakes = value & Bit.wakes
    if value & Bit.reset != 0, device != nil {
      // At once: there is no wire.
      device?.reset()
      isEnabled = true
      link = Link.active
      note(Bit.resetChange)
      return
    }
    if value & Bit.enabled != 0, isEnabled {
      isEnabled = false
      link = Link.polling
    }
    if value & Bit.linkStateWrite != 0 { writeLink(value >> 5 & 0xF) }
  }

  private mutating func writeLink(_ state: UInt32) {
    switch state {
    case Link.active where isEnabled && link != Link.active:
      link = Link.active
      note(Bit.linkChange)
    case Link.suspended where isEnabled && link == Link.active: link = Link.suspended
    case Link.resume where isEnabled && link == Link.suspended: link = Link.resume
    case Link.disabled where isUSB3: link = Link.disabled
    case Link.detecting where isUSB3 && link == Link.disabled: link = Link.detecting
    // Windows asks idle ports to resume.
    default: break
    }
  }
}

extension XHCIPort {
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.integer(&link)
    try transfer.check(
      [
        Link.active, Link.suspended, Link.disabled, Link.detecting, Link.polling, Link.resume,
      ].contains(link), "a link in state \(link)")
    try transfer.flag(&isEnabled)
    try transfer.integer(&changes)
    try transfer.integer(&wakes)
    try transfer.check(
      changes & ~Bit.changes == 0 && wakes & ~Bit.wakes == 0, "a port's changes \(changes)")
    try transfer.integer(&powerManagement)
    try transfer.integer(&hardwareManagement)
    try transfer.flag(&hasEvent)
    try transfer.constant(device == nil ? 0 : device?.isKeyboard == true ? 2 : 1 as UInt8, "device")
    try device?.transfer(&transfer)
  }
}
