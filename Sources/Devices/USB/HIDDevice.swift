internal import DeviceKit

/// What a HID device reports of.
enum HIDInput: Sendable {
  case pointer(PointerState)
  case wheel(Int)
  case key(KeyboardKey, isDown: Bool)
}

/// The part of a HID device that its reports are about.
protocol HIDFunction: Sendable {
  var descriptors: HIDDescriptors { get }
  /// The lights that the host set; none on what has none.
  var lights: KeyboardLights { get }
  /// What a host that asks gets, as of now.
  var report: [UInt8] { get }

  /// As after power-on.
  mutating func reset()
  /// Takes what a viewer did.
  ///
  /// - Returns: whether it is this function's at all.
  mutating func take(_ input: HIDInput) -> Bool
  /// Takes the next report that waits.
  mutating func nextReport() -> [UInt8]?
  /// Takes a report of the host.
  mutating func setReport(_ bytes: [UInt8])
  /// Saves or restores it.
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError)
}

extension HIDFunction {
  var lights: KeyboardLights { [] }
  mutating func setReport(_ bytes: [UInt8]) {}
}

/// A USB device of the class *human interface device*, with what all of them answer. It knows
/// neither controller nor lock. Source: USB 2.0 §9.4, HID 1.11 §7.
///
/// Reports are sent when there is something new: the rate that *Set Idle* asks for is kept, and
/// changes nothing.
struct HIDDevice: Sendable {
  private var function: any HIDFunction
  private let descriptors: HIDDescriptors
  /// *bConfigurationValue*: 1, or 0 before the host has chosen it.
  private var configuration: UInt8 = 0
  private var idleRate: UInt8 = 0
  /// 0 for the boot protocol, whose reports are the same.
  private var reportProtocol: UInt8 = 1
  private(set) var mayWakeHost = false
  /// *ENDPOINT_HALT* of the interrupt endpoint.
  private(set) var isHalted = false

  init(_ function: any HIDFunction) {
    self.function = function
    descriptors = function.descriptors
  }

  var isConfigured: Bool { configuration != 0 }
  var isKeyboard: Bool { function is USBKeyboard }
  var lights: KeyboardLights { function.lights }

  /// The bus is reset.
  mutating func reset() {
    function.reset()
    configuration = 0
    idleRate = 0
    reportProtocol = 1
    mayWakeHost = false
    isHalted = false
  }

  /// Takes what a viewer did, if it is this device's.
  mutating func take(_ input: HIDInput) -> Bool { function.take(input) }

  /// The next report for the interrupt endpoint.
  mutating func nextReport() -> [UInt8]? { function.nextReport() }

  /// Carries out a request.
  ///
  /// - Parameter data: what the host sent with it.
  mutating func answer(_ request: USBRequest, _ data: [UInt8] = []) -> USBAnswer {
    guard let bytes = result(of: request, data) else { return .stalled }
    return .done(Array(bytes.prefix(Int(request.byteCount))))
  }

  /// Nil for what it does not know.
  private mutating func result(of request: USBRequest, _ data: [UInt8]) -> [UInt8]? {
    let (value, index) = (request.value, request.index)
    switch request.number {
    // Get Status of the device, its interface, its endpoints.
    case 0x8000: return [mayWakeHost ? 2 : 0, 0]
    case 0x8100 where index == 0: return [0, 0]
    case 0x8200 where index & 0x7F == 0: return [0, 0]
    case 0x8200 where index == HIDDescriptors.endpoint && isConfigured:
      return [isHalted ? 1 : 0, 0]
    // Clear Feature, Set Feature: remote wake-up; the endpoint's halt.
    case 0x0001 where value == 1: mayWakeHost = false
    case 0x0003 where value == 1: mayWakeHost = true
    case 0x0201 where value == 0 && index & 0x7F == 0: break
    case 0x0201 where value == 0 && index == HIDDescriptors.endpoint && isConfigured:
      isHalted = false
    case 0x0203 where value == 0 && index == HIDDescriptors.endpoint && isConfigured:
      isHalted = true
    // Get Descriptor, of the device and of its interface.
    case 0x8006: return value >> 13 == 0 ? descriptors.descriptor(value) : nil
    case 0x8106 where index == 0: return value >> 13 == 1 ? descriptors.descriptor(value) : nil
    // Get Configuration, Set Configuration.
    case 0x8008: return [configuration]
    case 0x0009 where value <= 1:
      let mayWake = mayWakeHost
      reset()
      configuration = UInt8(value)
      mayWakeHost = mayWake
    // Get Interface, Set Interface.
    case 0x810A where index == 0 && isConfigured: return [0]
    case 0x010B where index == 0 && value == 0 && isConfigured: break
    // Get Report of input, Get Idle, Get Protocol; the same set, the report of output.
    case 0xA101 where index == 0 && value == 0x0100: return function.report
    case 0xA102 where index == 0: return [idleRate]
    case 0xA103 where index == 0 && descriptors.subclass == 1: return [reportProtocol]
    case 0x2109 where index == 0 && value == 0x0200: function.setReport(data)
    case 0x210A where index == 0: idleRate = UInt8(value >> 8)
    case 0x210B where index == 0 && value <= 1 && descriptors.subclass == 1:
      reportProtocol = UInt8(value)
    default: return nil
    }
    return []
  }
}

extension HIDDevice {
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.integer(&configuration, in: 0...1)
    try transfer.integer(&idleRate)
    try transfer.integer(&reportProtocol, in: 0...1)
    try transfer.flag(&mayWakeHost)
    try transfer.flag(&isHalted)
    try function.transfer(&transfer)
  }
}
