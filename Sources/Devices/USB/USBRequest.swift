internal import Bytes
internal import DeviceKit

/// A control transfer's first eight bytes. Source: USB 2.0 §9.3.
struct USBRequest: Equatable, Sendable {
  static let byteCount = 8

  /// *bmRequestType*: bit 7 to the host; class and recipient below.
  var type: UInt8
  /// *bRequest*
  var code: UInt8
  /// *wValue*
  var value: UInt16
  /// *wIndex*
  var index: UInt16
  /// *wLength*
  var byteCount: UInt16

  /// From the eight bytes, the first in the low bits.
  init(_ bytes: UInt64) {
    type = UInt8(truncatingIfNeeded: bytes)
    code = UInt8(truncatingIfNeeded: bytes >> 8)
    value = UInt16(truncatingIfNeeded: bytes >> 16)
    index = UInt16(truncatingIfNeeded: bytes >> 32)
    byteCount = UInt16(truncatingIfNeeded: bytes >> 48)
  }

  /// Whether the device has data for the host.
  var hasInput: Bool { type & 0x80 != 0 && byteCount > 0 }

  /// Type and code in one number, as tables of requests have them.
  var number: UInt16 { UInt16(type) << 8 | UInt16(code) }
}

/// What a device says to a request.
enum USBAnswer: Equatable, Sendable {
  /// Data for the host, as much as it asked for at most; none for a request to the device.
  case done([UInt8])
  /// It does not know the request, or does not do it.
  case stalled
}

extension USBRequest {
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.integer(&type)
    try transfer.integer(&code)
    try transfer.integer(&value)
    try transfer.integer(&index)
    try transfer.integer(&byteCount)
  }
}

extension USBAnswer {
  /// Longer than any descriptor here.
  private static let maximumByteCount = 1024

  /// How many bytes there are for the host.
  var byteCount: Int {
    if case .done(let bytes) = self { bytes.count } else { 0 }
  }

  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    var data: [UInt8]? = if case .done(let bytes) = self { bytes } else { nil }
    try transfer.optional(&data, new: []) { (transfer, bytes) throws(StateError) in
      try transfer.bytes(&bytes, maximumCount: Self.maximumByteCount)
    }
    self = data.map { .done($0) } ?? .stalled
  }
}

/// Descriptors of a device with one HID interface and one interrupt endpoint. Source: USB 2.0 §9.6,
/// HID 1.11 §6.2.
struct HIDDescriptors: Sendable {
  /// The endpoint's address: 1, to the host.
  static let endpoint: UInt16 = 0x81
  /// *Device Context Index* of it.
  static let endpointIndex = 3
  /// Bytes of its packets, and of the control endpoint's.
  static let packetByteCount: UInt16 = 8
  private static let controlPacketByteCount: UInt8 = 64

  /// The product's name, of which the manufacturer's is no part.
  var name: String
  /// *idProduct*
  var product: UInt16
  /// *bInterfaceSubClass* and *bInterfaceProtocol*: 1 and 1 for a keyboard of the boot protocol.
  var subclass: UInt8 = 0
  var interfaceProtocol: UInt8 = 0
  /// What reports look like.
  var report: [UInt8]

  /// - Parameter number: type and index, as *wValue* has them.
  /// - Returns: nil for one that there is not. There is no *device qualifier*: the device has one
  ///   speed.
  func descriptor(_ number: UInt16) -> [UInt8]? {
    switch number {
    case 0x0100: device
    case 0x0200: configuration
    // English (United States).
    case 0x0300: [4, 3, 0x09, 0x04]
    case 0x0301: Self.string("vmm-run")
    case 0x0302: Self.string(name)
    case 0x0303: Self.string("1")
    case 0x2100: hid
    case 0x2200: report
    default: nil
    }
  }

  /// USB 2.0; vendor 0x1D6B (the Linux Foundation's, for gadgets), as drivers go by the class.
  private var device: [UInt8] {
    let vendor: UInt16 = 0x1D6B
    return [18, 1, 0x00, 0x02, 0, 0, 0, Self.controlPacketByteCount]
      + vendor.littleEndianBytes + product.littleEndianBytes + [0x00, 0x01, 1, 2, 3, 1]
  }

  private var configuration: [UInt8] {
    let interface: [UInt8] = [9, 4, 0, 0, 1, 3, subclass, interfaceProtocol, 0]
    // Every 8 microframes: a millisecond.
    let endpoint =
      [7, 5, UInt8(Self.endpoint), 3] + Self.packetByteCount.littleEndianBytes + [4]
    let parts = interface + hid + endpoint
    // Powered by the bus, 100 mA; it wakes the host.
    return [9, 2] + UInt16(9 + parts.count).littleEndianBytes + [1, 1, 0, 0xA0, 50] + parts
  }

  private var hid: [UInt8] {
    [9, 0x21, 0x11, 0x01, 0, 1, 0x22] + UInt16(report.count).littleEndianBytes
  }

  private static func string(_ text: String) -> [UInt8] {
    let units = Array(text.utf16)
    return [UInt8(2 + 2 * units.count), 3] + units.littleEndianBytes
  }
}
