internal import Bytes
internal import DeviceKit

/// A tablet: the pointer is where the viewer has it. Reports of 6 bytes: five buttons, X and Y from
/// 0 to 32767 of 16 bits, the wheel.
struct USBTablet: HIDFunction {
  /// Changes of buttons that wait.
  static let maximumEventCount = 64
  /// Steps on each axis.
  private static let stepCount = 1 << 15
  /// Pictures beyond that make no difference, and no overflow.
  private static let maximumSize = 1 << 24
  private static let notches = -127...127
  fileprivate static let sums = -10_000...10_000

  fileprivate struct Event: Equatable {
    var x: UInt16 = 0
    var y: UInt16 = 0
    var wheel = 0
    var buttons: PointerButtons = []

    /// The report; of the wheel, as much as fits.
    var bytes: [UInt8] {
      let wheel = Int8(clamping: min(max(wheel, notches.lowerBound), notches.upperBound))
      return [buttons.rawValue & 0x1F] + x.littleEndianBytes + y.littleEndianBytes
        + [UInt8(bitPattern: wheel)]
    }
  }

  private var events: [Event] = []
  /// What was seen last.
  private var last = Event()
  /// The buttons as the host knows them.
  private var reported: PointerButtons = []

  var report: [UInt8] { last.bytes }

  mutating func reset() {
    events = []
    last = Event()
    reported = []
  }

  mutating func take(_ input: HIDInput) -> Bool {
    var event = last
    switch input {
    case .pointer(let state):
      event.x = Self.step(state.x, of: state.width)
      event.y = Self.step(state.y, of: state.height)
      event.buttons = state.buttons
    case .wheel(let turn): event.wheel = min(max(turn, Self.sums.lowerBound), Self.sums.upperBound)
    case .key: return false
    }
    add(event)
    event.wheel = 0
    last = event
    return true
  }

  /// The step in the middle of a pixel, so that a guest finds that pixel again, however it rounds.
  private static func step(_ pixel: Int, of count: Int) -> UInt16 {
    let count = min(max(count, 1), maximumSize)
    let pixel = min(max(pixel, 0), count - 1)
    return UInt16((2 * pixel + 1) * stepCount / (2 * count))
  }

  private mutating func add(_ event: Event) {
    guard event != last else { return }
    guard let newest = events.last else {
      events.append(event)
      return
    }
    // A move on the way to another place is not worth a report, nor is what does not fit. A press
    // stays where it was made.
    let before = events.count > 1 ? events[events.count - 2].buttons : reported
    let isSame = newest.buttons == event.buttons && newest.buttons == before
    let isMove = newest.wheel == 0 && event.wheel == 0
    let isTurn = (newest.x, newest.y) == (event.x, event.y)
    guard isSame && (isMove || isTurn) || events.count == Self.maximumEventCount else {
      events.append(event)
      return
    }
    var event = event
    event.wheel = min(
      max(event.wheel + newest.wheel, Self.sums.lowerBound), Self.sums.upperBound)
    events[events.count - 1] = event
  }

  mutating func nextReport() -> [UInt8]? {
    guard let event = events.first else { return nil }
    let bytes = event.bytes
    reported = event.buttons
    events[0].wheel -= Int(Int8(bitPattern: bytes[5]))
    if events[0].wheel == 0 { events.removeFirst() }
    return bytes
  }

  var descriptors: HIDDescriptors {
    HIDDescriptors(
      name: "USB Tablet", product: 0x0001,
      report: [
        0x05, 0x01, 0x09, 0x02,  // generic desktop, mouse
        0xA1, 0x01, 0x09, 0x01, 0xA1, 0x00,  // application, pointer, physical
        0x05, 0x09, 0x19, 0x01, 0x29, 0x05,  // buttons 1 to 5
        0x15, 0x00, 0x25, 0x01, 0x75, 0x01, 0x95, 0x05, 0x81, 0x02,  // a bit each
        0x75, 0x03, 0x95, 0x01, 0x81, 0x03,  // three bits of nothing
        0x05, 0x01, 0x09, 0x30, 0x09, 0x31,  // X, Y
        0x15, 0x00, 0x26, 0xFF, 0x7F, 0x35, 0x00, 0x46, 0xFF, 0x7F,  // 0 to 32767
        0x75, 0x10, 0x95, 0x02, 0x81, 0x02,  // 16 bits each, absolute
        0x09, 0x38, 0x15, 0x81, 0x25, 0x7F, 0x35, 0x00, 0x45, 0x00,  // wheel, -127 to 127
        0x75, 0x08, 0x95, 0x01, 0x81, 0x06,  // 8 bits, relative
        0xC0, 0xC0,
      ])
  }
}

extension USBTablet {
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.elements(&events, maximumCount: Self.maximumEventCount, new: Event()) {
      (transfer, event) throws(StateError) in
      try event.transfer(&transfer)
    }
    try last.transfer(&transfer)
    try transfer.value(&reported)
  }
}

extension USBTablet.Event {
  fileprivate mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.integer(&x)
    try transfer.integer(&y)
    try transfer.integer(&wheel, in: USBTablet.sums)
    try transfer.value(&buttons)
  }
}
