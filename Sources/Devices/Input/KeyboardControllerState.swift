internal import DeviceKit

/// Where a byte in the output buffer comes from.
enum PS2Source: UInt8, Sendable {
  /// The keyboard, or the controller's answer to a command.
  case keyboard
  case mouse
}

/// The registers of an i8042, and the devices on its wires; knows neither lock nor lines.
struct KeyboardControllerState: Sendable {
  /// Answers of the controller that wait behind the output buffer.
  private static let maximumAnswerCount = 16

  private struct Configuration: OptionSet {
    let rawValue: UInt8
    static let keyboardInterrupt = Self(rawValue: 0x01)
    static let mouseInterrupt = Self(rawValue: 0x02)
    static let systemFlag = Self(rawValue: 0x04)
    static let keyboardDisabled = Self(rawValue: 0x10)
    static let mouseDisabled = Self(rawValue: 0x20)
    static let translation = Self(rawValue: 0x40)
  }

  private struct Output {
    var byte: UInt8
    var source: PS2Source
  }

  var keyboard = PS2Keyboard()
  var mouse = PS2Mouse()
  private var translator = ScanCodeTranslator()
  /// Byte 0 is the configuration, *command byte*; the others are memory without meaning.
  private var memory = [UInt8](repeating: 0, count: 32)
  private var output: Output?
  private var lastByte: UInt8 = 0
  private var answers: [Output] = []
  /// The command that takes the next byte of the data port.
  private var pendingCommand: UInt8?
  private var wasCommandWritten = false
  /// Reset line high, A20 open.
  private var outputPort: UInt8 = 0x03

  init() {
    let start: Configuration = [
      .keyboardInterrupt, .mouseInterrupt, .systemFlag, .translation,
    ]
    memory[0] = start.rawValue
  }

  private var configuration: Configuration {
    get { Configuration(rawValue: memory[0]) }
    set { memory[0] = newValue.rawValue }
  }

  /// Output full 0x01, system 0x04, last write was a command 0x08, not locked 0x10, mouse 0x20. The
  /// input buffer (0x02) is never full, so that the status is never 0xFF, which means "no
  /// controller".
  var status: UInt8 {
    var status: UInt8 = 0x10
    if let output { status |= output.source == .mouse ? 0x21 : 0x01 }
    if configuration.contains(.systemFlag) { status |= 0x04 }
    if wasCommandWritten { status |= 0x08 }
    return status
  }

  var isKeyboardInterrupting: Bool {
    output?.source == .keyboard && configuration.contains(.keyboardInterrupt)
  }

  var isMouseInterrupting: Bool {
    output?.source == .mouse && configuration.contains(.mouseInterrupt)
  }

  /// Empties the output buffer; if it is empty, the last byte once more.
  mutating func takeOutput() -> UInt8 {
    if let output { lastByte = output.byte }
    output = nil
    return lastByte
  }

  /// Moves the next waiting byte to the output buffer, answers first.
  mutating func fillOutputBuffer() {
    guard output == nil else { return }
    if !answers.isEmpty {
      output = answers.removeFirst()
    } else if let byte = nextKeyboardByte() {
      output = Output(byte: byte, source: .keyboard)
    } else if !configuration.contains(.mouseDisabled), let byte = mouse.nextByte() {
      output = Output(byte: byte, source: .mouse)
    }
  }

  private mutating func nextKeyboardByte() -> UInt8? {
    guard !configuration.contains(.keyboardDisabled) else { return nil }
    while let byte = keyboard.nextByte() {
      guard configuration.contains(.translation) else { return byte }
      if let byte = translator.translate(byte) { return byte }
    }
    return nil
  }

  /// A write to port 0x64. Returns whether it resets the machine.
  mutating func writeCommand(_ command: UInt8) -> Bool {
    wasCommandWritten = true
    pendingCommand = nil
    switch command {
    case 0x20...0x3F: answer(memory[Int(command & 0x1F)])
    case 0x60...0x7F, 0xD1...0xD4: pendingCommand = command
    case 0xA7: configuration.insert(.mouseDisabled)
    case 0xA8: configuration.remove(.mouseDisabled)
    case 0xA9: answer(0x00)  // mouse port works
    case 0xAA:
      configuration.insert(.systemFlag)
      answer(0x55)  // controller works
    case 0xAB: answer(0x00)  // keyboard port works
    case 0xAD: configuration.insert(.keyboardDisabled)
    case 0xAE: configuration.remove(.keyboardDisabled)
    case 0xC0: answer(0x80)  // input port: keyboard not locked
    case 0xD0: answer(outputPort)
    case 0xE0: answer(0x00)  // both clock lines low
    case 0xF0...0xFF: return command & 0x01 == 0  // pulses the lines whose bit is 0; bit 0 resets
    default: break
    }
    return false
  }

  /// A write to port 0x60. Returns whether it resets the machine.
  mutating func writeData(_ byte: UInt8) -> Bool {
    wasCommandWritten = false
    defer { pendingCommand = nil }
    switch pendingCommand {
    case .some(let command) where command < 0x80: memory[Int(command & 0x1F)] = byte
    case 0xD1:
      outputPort = byte | 0x01
      return byte & 0x01 == 0
    case 0xD2: answer(byte)
    case 0xD3: answer(byte, from: .mouse)
    case 0xD4:
      configuration.remove(.mouseDisabled)
      mouse.write(byte)
    default:
      // As on an AT, talking to a device enables its port.
      configuration.remove(.keyboardDisabled)
      keyboard.write(byte)
    }
    return false
  }

  /// Beyond that the oldest answers are worthless: a guest that asks and never reads.
  private mutating func answer(_ byte: UInt8, from source: PS2Source = .keyboard) {
    if answers.count == Self.maximumAnswerCount { answers.removeFirst() }
    answers.append(Output(byte: byte, source: source))
  }
}

extension KeyboardControllerState {
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try keyboard.transfer(&transfer)
    try mouse.transfer(&transfer)
    try translator.transfer(&transfer)
    try transfer.bytes(&memory)
    try transfer.optional(&output, new: Output(byte: 0, source: .keyboard), Self.transfer)
    try transfer.integer(&lastByte)
    try transfer.elements(
      &answers, maximumCount: Self.maximumAnswerCount, new: Output(byte: 0, source: .keyboard),
      Self.transfer)
    try transfer.integer(&pendingCommand)
    try transfer.flag(&wasCommandWritten)
    try transfer.integer(&outputPort)
  }

  private static func transfer(
    _ transfer: inout StateTransfer, _ output: inout Output
  ) throws(StateError) {
    try transfer.integer(&output.byte)
    try transfer.value(&output.source)
  }
}
