internal import DeviceKit

/// A keyboard on a PS/2 wire: what it answers its driver, and the codes of its keys. Scan code sets
/// 1 and 2; it refuses set 3. It knows neither lock nor controller.
///
/// | command | answer |
/// | --- | --- |
/// | 0xFF reset | 0xFA 0xAA |
/// | 0xF2 identify | 0xFA 0xAB 0x83 |
/// | 0xED LEDs, 0xF0 scan code set, 0xF3 rate | 0xFA, and 0xFA for the parameter |
/// | 0xF0 with 0 | 0xFA and the set |
/// | 0xEE echo | 0xEE |
/// | 0xF4 on, 0xF5 off, 0xF6 defaults, 0xF7 to 0xFD others | 0xFA |
/// | unknown | 0xFE, resend |
///
/// Keys repeat when the host repeats them: the rate is accepted and has no effect.
struct PS2Keyboard: Sendable {
  /// Presses and releases that wait for the guest: more than a paste by hand, and less than would
  /// be typed on for a long time after it.
  static let maximumEventCount = 256
  private static let maximumAnswerByteCount = 16
  private static let acknowledge: UInt8 = 0xFA
  private static let resend: UInt8 = 0xFE

  private struct Event {
    var key: KeyboardKey
    var isDown: Bool
  }

  /// The command whose parameter comes next.
  private var command: UInt8?
  private var scanCodeSet: UInt8 = 2
  /// *Enable*, 0xF4, and its opposite.
  private var isScanning = true
  private(set) var lights: KeyboardLights = []
  private var answers: [UInt8] = []
  /// What the guest has yet to read of a key's code.
  private var code: [UInt8] = []
  private var events: [Event] = []
  /// Keys as they are.
  private var downKeys = KeySet()
  /// Keys as the codes that the guest has read, or is about to read, left them.
  private var reportedKeys = KeySet()
  private var hasOverrun = false
  /// How Print Screen was pressed, which depends on other keys; it is released likewise.
  private var printCode: [UInt8] = []

  // MARK: Keys

  mutating func setKey(_ key: KeyboardKey, isDown: Bool) {
    guard isDown || downKeys.contains(key) else { return }
    downKeys.set(key, isDown)
    guard isScanning, !hasOverrun else { return }
    if events.count < Self.maximumEventCount {
      events.append(Event(key: key, isDown: isDown))
    } else {
      hasOverrun = true
    }
  }

  /// The next byte for the guest.
  mutating func nextByte() -> UInt8? {
    if !answers.isEmpty { return answers.removeFirst() }
    while code.isEmpty {
      if !events.isEmpty {
        let event = events.removeFirst()
        code = report(event)
      } else if hasOverrun {
        // From here on the guest's picture of the keys is mended key by key, so that none of them
        // stays down.
        hasOverrun = false
        code = [scanCodeSet == 1 ? 0xFF : 0x00]
        for key in reportedKeys.differences(from: downKeys) {
          events.append(Event(key: key, isDown: downKeys.contains(key)))
        }
      } else {
        return nil
      }
    }
    return code.removeFirst()
  }

  /// Forgets what waits: the guest has switched the keyboard off, or reset it.
  private mutating func clear() {
    code = []
    events = []
    hasOverrun = false
    reportedKeys = KeySet()
  }

  // MARK: Codes

  private mutating func report(_ event: Event) -> [UInt8] {
    let (key, isDown) = (event.key, event.isDown)
    // A key that was down before the keyboard was switched on.
    guard isDown || reportedKeys.contains(key) else { return [] }
    reportedKeys.set(key, isDown)
    let bytes: [UInt8] =
      switch key {
      case .pause: isDown ? pause : []
      case .printScreen: printScreen(isDown: isDown)
      case .hangul, .hanja: isDown ? [UInt8(truncatingIfNeeded: ScanCodes.set2(key))] : []
      default: Self.sequence(ScanCodes.set2(key), isDown: isDown)
      }
    guard scanCodeSet == 1 else { return bytes }
    var translator = ScanCodeTranslator()
    return bytes.compactMap { translator.translate($0) }
  }

  private static func sequence(_ code: UInt16, isDown: Bool) -> [UInt8] {
    guard code != 0 else { return [] }
    let prefix = code > 0xFF ? [ScanCodes.extended] : []
    return prefix + (isDown ? [] : [ScanCodes.release]) + [UInt8(truncatingIfNeeded: code)]
  }

  /// Pause has no release; with Control it is Break, which has.
  private var pause: [UInt8] {
    isControlDown
      ? [0xE0, 0x7E, 0xE0, 0xF0, 0x7E] : [0xE1, 0x14, 0x77, 0xE1, 0xF0, 0x14, 0xF0, 0x77]
  }

  /// With a Shift of its own in front, unless one or Control is down; with Alt it is the key of
  /// *System Request*.
  private mutating func printScreen(isDown: Bool) -> [UInt8] {
    if isDown {
      let isAlt = reportedKeys.contains(.leftAlt) || reportedKeys.contains(.rightAlt)
      let isShift = reportedKeys.contains(.leftShift) || reportedKeys.contains(.rightShift)
      printCode =
        isAlt ? [0x84] : isShift || isControlDown ? [0xE0, 0x7C] : [0xE0, 0x12, 0xE0, 0x7C]
      return printCode
    }
    switch printCode.count {
    case 1: return [0xF0, 0x84]
    case 2: return [0xE0, 0xF0, 0x7C]
    default: return [0xE0, 0xF0, 0x7C, 0xE0, 0xF0, 0x12]
    }
  }

  private var isControlDown: Bool {
    reportedKeys.contains(.leftControl) || reportedKeys.contains(.rightControl)
  }

  // MARK: Commands

  /// A byte from the driver.
  mutating func write(_ byte: UInt8) {
    let answer = self.answer(byte)
    // Beyond that the guest asks and never reads.
    answers += answer.prefix(max(0, Self.maximumAnswerByteCount - answers.count))
  }

  private mutating func answer(_ byte: UInt8) -> [UInt8] {
    // A command in place of a parameter starts over; parameters are below 0xED.
    if let command, byte < 0xED {
      self.command = nil
      return answer(parameter: byte, of: command)
    }
    command = nil
    switch byte {
    case 0xED, 0xF0, 0xF3:
      command = byte
      return [Self.acknowledge]
    case 0xEE: return [0xEE]
    case 0xF2: return [Self.acknowledge, 0xAB, 0x83]
    case 0xF4:
      clear()
      isScanning = true
      return [Self.acknowledge]
    case 0xF5, 0xF6:
      clear()
      scanCodeSet = 2
      isScanning = byte == 0xF6
      return [Self.acknowledge]
    case 0xF7...0xFD: return [Self.acknowledge]
    case 0xFF:
      clear()
      answers = []
      scanCodeSet = 2
      isScanning = true
      lights = []
      return [Self.acknowledge, 0xAA]
    default: return [Self.resend]
    }
  }

  private mutating func answer(parameter: UInt8, of command: UInt8) -> [UInt8] {
    switch (command, parameter) {
    case (0xED, _):
      lights = KeyboardLights(ps2: parameter)
    case (0xF0, 0): return [Self.acknowledge, scanCodeSet]
    case (0xF0, 1...2):
      clear()
      scanCodeSet = parameter
    case (0xF0, _): return [Self.resend]
    default: break
    }
    return [Self.acknowledge]
  }
}

extension KeyboardKey {
  fileprivate static let printScreen = KeyboardKey(rawValue: 0x46)
  fileprivate static let pause = KeyboardKey(rawValue: 0x48)
  /// LANG1 and LANG2, which have no release.
  fileprivate static let hangul = KeyboardKey(rawValue: 0x90)
  fileprivate static let hanja = KeyboardKey(rawValue: 0x91)
  fileprivate static let leftControl = KeyboardKey(rawValue: 0xE0)
  fileprivate static let leftShift = KeyboardKey(rawValue: 0xE1)
  fileprivate static let leftAlt = KeyboardKey(rawValue: 0xE2)
  fileprivate static let rightControl = KeyboardKey(rawValue: 0xE4)
  fileprivate static let rightShift = KeyboardKey(rawValue: 0xE5)
  fileprivate static let rightAlt = KeyboardKey(rawValue: 0xE6)
}

extension KeyboardLights {
  /// From command 0xED's parameter: Scroll Lock 1, Num Lock 2, Caps Lock 4.
  fileprivate init(ps2 byte: UInt8) {
    self = []
    if byte & 1 != 0 { insert(.scrollLock) }
    if byte & 2 != 0 { insert(.numLock) }
    if byte & 4 != 0 { insert(.capsLock) }
  }
}

/// Some of the keys.
private struct KeySet: Sendable {
  private var words: [4 of UInt64] = .init(repeating: 0)

  func contains(_ key: KeyboardKey) -> Bool {
    words[Int(key.rawValue >> 6)] >> UInt64(key.rawValue & 63) & 1 != 0
  }

  mutating func set(_ key: KeyboardKey, _ isContained: Bool) {
    let bit: UInt64 = 1 << UInt64(key.rawValue & 63)
    if isContained {
      words[Int(key.rawValue >> 6)] |= bit
    } else {
      words[Int(key.rawValue >> 6)] &= ~bit
    }
  }

  func differences(from other: KeySet) -> [KeyboardKey] {
    (0...UInt8.max).lazy.map(KeyboardKey.init).filter { contains($0) != other.contains($0) }
  }
}

extension PS2Keyboard {
  /// The longest code of a key has 8 bytes.
  private static let maximumCodeByteCount = 16

  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.integer(&command)
    try transfer.integer(&scanCodeSet, in: 1...2)
    try transfer.flag(&isScanning)
    try transfer.value(&lights)
    try transfer.bytes(&answers, maximumCount: Self.maximumAnswerByteCount)
    try transfer.bytes(&code, maximumCount: Self.maximumCodeByteCount)
    // After an overrun all keys may be among them.
    try transfer.elements(
      &events, maximumCount: Self.maximumEventCount + 256,
      new: Event(key: KeyboardKey(rawValue: 0), isDown: false)
    ) { (transfer, event) throws(StateError) in
      try transfer.value(&event.key)
      try transfer.flag(&event.isDown)
    }
    try downKeys.transfer(&transfer)
    try reportedKeys.transfer(&transfer)
    try transfer.flag(&hasOverrun)
    try transfer.bytes(&printCode, maximumCount: Self.maximumCodeByteCount)
  }
}

extension KeySet {
  fileprivate mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    for index in words.indices { try transfer.integer(&words[index]) }
  }
}
