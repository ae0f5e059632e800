internal import DeviceKit

/// A keyboard, whose reports are those of the boot protocol: modifiers, and up to six other keys.
/// Source: HID 1.11, appendix B.1.
struct USBKeyboard: HIDFunction {
  /// Changes that wait; beyond that the newest state takes the place of the one before.
  static let maximumEventCount = 64
  private static let keyCount = 6
  private static let modifiers: ClosedRange<UInt8> = 0xE0...0xE7
  /// *ErrorRollOver*, in all places, for more keys than fit.
  private static let rollOver: UInt8 = 1
  /// Usages from here on are keys.
  private static let firstKey: UInt8 = 4

  private var modifiers: UInt8 = 0
  /// Keys that are down, the first pressed first.
  private var keys: [UInt8] = []
  private var reports: [[UInt8]] = []
  private(set) var lights: KeyboardLights = []

  var report: [UInt8] {
    let places =
      keys.count > Self.keyCount
      ? [UInt8](repeating: Self.rollOver, count: Self.keyCount)
      : keys + [UInt8](repeating: 0, count: Self.keyCount - keys.count)
    return [modifiers, 0] + places
  }

  mutating func reset() {
    modifiers = 0
    keys = []
    reports = []
    lights = []
  }

  mutating func take(_ input: HIDInput) -> Bool {
    guard case .key(let key, let isDown) = input else { return false }
    let before = report
    let usage = key.rawValue
    if Self.modifiers.contains(usage) {
      let bit: UInt8 = 1 << (usage & 7)
      if isDown { modifiers |= bit } else { modifiers &= ~bit }
    } else if usage >= Self.firstKey {
      if !isDown {
        keys.removeAll { $0 == usage }
      } else if !keys.contains(usage) {
        keys.append(usage)
      }
    }
    // Hosts repeat keys themselves.
    guard report != before else { return true }
    if reports.count == Self.maximumEventCount { reports.removeLast() }
    reports.append(report)
    return true
  }

  mutating func nextReport() -> [UInt8]? {
    reports.isEmpty ? nil : reports.removeFirst()
  }

  mutating func setReport(_ bytes: [UInt8]) {
    lights = KeyboardLights(rawValue: (bytes.first ?? 0) & 7)
  }

  var descriptors: HIDDescriptors {
    HIDDescriptors(
      name: "USB Keyboard", product: 0x0002, subclass: 1, interfaceProtocol: 1,
      report: [
        0x05, 0x01, 0x09, 0x06, 0xA1, 0x01,  // generic desktop, keyboard, application
        0x05, 0x07, 0x19, 0xE0, 0x29, 0xE7,  // modifiers
        0x15, 0x00, 0x25, 0x01, 0x75, 0x01, 0x95, 0x08, 0x81, 0x02,  // a bit each
        0x75, 0x08, 0x95, 0x01, 0x81, 0x01,  // a byte of nothing
        0x05, 0x08, 0x19, 0x01, 0x29, 0x05,  // lights, of the host
        0x75, 0x01, 0x95, 0x05, 0x91, 0x02, 0x75, 0x03, 0x95, 0x01, 0x91, 0x01,
        0x05, 0x07, 0x19, 0x00, 0x2A, 0xFF, 0x00,  // six keys
        0x15, 0x00, 0x26, 0xFF, 0x00, 0x75, 0x08, 0x95, 0x06, 0x81, 0x00,
        0xC0,
      ])
  }
}

extension USBKeyboard {
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.integer(&modifiers)
    // Each at most once.
    try transfer.bytes(&keys, maximumCount: Int(UInt8.max))
    try transfer.check(
      Set(keys).count == keys.count && keys.allSatisfy { $0 >= Self.firstKey },
      "keys that there are not")
    try transfer.elements(
      &reports, maximumCount: Self.maximumEventCount,
      new: [UInt8](repeating: 0, count: Self.keyCount + 2)
    ) { (transfer, report) throws(StateError) in
      try transfer.bytes(&report)
    }
    try transfer.value(&lights)
  }
}
