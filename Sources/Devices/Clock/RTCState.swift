/// The registers of an MC146818 clock, as functions of the time now; knows neither lock nor line.
///
/// Times are nanoseconds since 1970 as the guest counts them: the host's plus what the guest has set.
/// Source: Motorola MC146818A, "Registers"; ACPI 6.5 §4.8.2.4 for the century.
struct RTCState: Sendable {
  static let registerCount = 128
  static let century = 0x32
  private static let nanosecondsPerSecond: Int128 = 1_000_000_000
  /// *UIP* announces an update this long before it: 244 µs.
  private static let announcedNanoseconds: Int128 = 244_000

  /// Register B.
  private struct Control: OptionSet {
    let rawValue: UInt8
    static let hours24 = Self(rawValue: 0x02)
    static let binary = Self(rawValue: 0x04)
    static let updateInterrupt = Self(rawValue: 0x10)
    static let set = Self(rawValue: 0x80)
  }

  /// Register C; register B enables the interrupts by the same bits.
  private struct Flags: OptionSet {
    let rawValue: UInt8
    static let updated = Self(rawValue: 0x10)
    static let alarm = Self(rawValue: 0x20)
    static let periodic = Self(rawValue: 0x40)
    static let interrupting: UInt8 = 0x80
  }

  /// One moment's time registers: each is read from here once, so that a set of reads fits together.
  private struct Latch {
    let registers: [UInt8]
    let time: Int128
    /// Bit n: register n was read.
    var wasRead: UInt64 = 0
  }

  /// Also the time registers, while *SET* stops them.
  private var memory: [UInt8]
  private var control: Control = [.hours24]
  /// 32.768 kHz crystal, 1024 Hz periodic rate.
  private var rate: UInt8 = 0x26
  private var flags: Flags = []
  /// Guest's time less the host's.
  private var offset: Int128
  /// When `flags` were last brought up to date.
  private var checked: Int128
  private var latch: Latch?

  init(hostTime: Int128, offset: Int128, memory: [UInt8]) {
    self.offset = offset
    self.memory = memory
    checked = hostTime + offset
  }

  var isInterrupting: Bool { flags.rawValue & control.rawValue != 0 }

  mutating func read(_ index: Int, hostTime: Int128) -> UInt8 {
    let now = hostTime + offset
    switch index {
    case 0, 2, 4, 6...9, Self.century: return readTime(index, now: now)
    case 0x0A:
      latch = nil
      return rate | (isUpdateAnnounced(now) ? 0x80 : 0)
    case 0x0B: return control.rawValue
    case 0x0C:
      update(hostTime: hostTime)
      let value = flags.rawValue | (isInterrupting ? Flags.interrupting : 0)
      flags = []
      return value
    case 0x0D: return 0x80  // The battery is good: RAM and time are valid.
    default: return memory[index]
    }
  }

  mutating func write(_ index: Int, _ value: UInt8, hostTime: Int128) {
    // What happened until now happened under the old registers.
    update(hostTime: hostTime)
    latch = nil
    switch index {
    case 0, 2, 4, 6...9, Self.century: writeTime(index, value, hostTime: hostTime)
    case 0x0A: rate = value & 0x7F
    case 0x0B: writeControl(value, hostTime: hostTime)
    case 0x0C, 0x0D: break
    default: memory[index] = value
    }
  }

  /// Sets the flags of what has happened since the last call.
  mutating func update(hostTime: Int128) {
    let now = hostTime + offset
    defer { checked = now }
    guard now > checked else { return }
    let periodicTicks = Self.periodicTicks(rate: rate & 0x0F)
    if let periodicTicks, Self.ticks(now) / periodicTicks != Self.ticks(checked) / periodicTicks {
      flags.insert(.periodic)
    }
    let last = Self.seconds(checked)
    let current = Self.seconds(now)
    guard current > last, !control.contains(.set) else { return }
    flags.insert(.updated)
    // A day has every time of day.
    let first = max(last + 1, current - CalendarTime.secondsPerDay + 1)
    if !flags.contains(.alarm), (first...current).contains(where: { matchesAlarm($0) }) {
      flags.insert(.alarm)
    }
  }

  private mutating func readTime(_ index: Int, now: Int128) -> UInt8 {
    if control.contains(.set) { return memory[index] }
    let bit: UInt64 = 1 << UInt64(index)
    var current = latch ?? Latch(registers: encoded(now), time: now)
    let age = now - current.time
    if current.wasRead & bit != 0 || !(0..<Self.nanosecondsPerSecond).contains(age) {
      current = Latch(registers: encoded(now), time: now)
    }
    current.wasRead |= bit
    latch = current
    return current.registers[index]
  }

  private mutating func writeTime(_ index: Int, _ value: UInt8, hostTime: Int128) {
    if control.contains(.set) {
      memory[index] = value
      return
    }
    let now = hostTime + offset
    memory = encoded(now)
    memory[index] = value
    setTime(nanoseconds: now - Self.start(ofSecondAt: now), hostTime: hostTime)
  }

  private mutating func writeControl(_ value: UInt8, hostTime: Int128) {
    let wasSet = control.contains(.set)
    var new = Control(rawValue: value)
    if new.contains(.set) {
      new.remove(.updateInterrupt)
      // In the old format: changing it does not convert what is stored.
      if !wasSet { memory = encoded(hostTime + offset) }
    }
    control = new
    if wasSet && !new.contains(.set) { setTime(nanoseconds: 0, hostTime: hostTime) }
  }

  /// Makes the stored registers the time now, `nanoseconds` into the second.
  private mutating func setTime(nanoseconds: Int128, hostTime: Int128) {
    let time = decodedMemory().secondsSince1970
    let now = Int128(time) * Self.nanosecondsPerSecond + nanoseconds
    offset = now - hostTime
    checked = now
  }

  private func isUpdateAnnounced(_ now: Int128) -> Bool {
    let elapsed = now - Self.start(ofSecondAt: now)
    return !control.contains(.set)
      && elapsed >= Self.nanosecondsPerSecond - Self.announcedNanoseconds
  }

  private var format: RTCFormat {
    RTCFormat(isBinary: control.contains(.binary), is24Hour: control.contains(.hours24))
  }

  /// `memory` with the time registers of a moment.
  private func encoded(_ now: Int128) -> [UInt8] {
    let time = CalendarTime(secondsSince1970: Self.seconds(now))
    var registers = memory
    registers[0] = format.encode(time.second)
    registers[2] = format.encode(time.minute)
    registers[4] = format.encode(hour: time.hour)
    registers[6] = format.encode(time.weekday)
    registers[7] = format.encode(time.day)
    registers[8] = format.encode(time.month)
    registers[9] = format.encode(time.year % 100)
    registers[Self.century] = format.encode(time.year / 100)
    return registers
  }

  /// The stored time registers, each brought into its range. The day of the week follows the date.
  private func decodedMemory() -> CalendarTime {
    func field(_ index: Int, _ range: ClosedRange<Int>) -> Int {
      min(max(format.decode(memory[index]), range.lowerBound), range.upperBound)
    }
    return CalendarTime(
      year: field(Self.century, 0...99) * 100 + field(9, 0...99), month: field(8, 1...12),
      day: field(7, 1...31), hour: min(format.decode(hour: memory[4]), 23),
      minute: field(2, 0...59), second: field(0, 0...59))
  }

  /// Alarm registers of 0xC0 and above match every value.
  private func matchesAlarm(_ seconds: Int64) -> Bool {
    let day = CalendarTime.secondsPerDay
    let time = Int(((seconds % day) + day) % day)
    return (memory[1] >= 0xC0 || memory[1] == format.encode(time % 60))
      && (memory[3] >= 0xC0 || memory[3] == format.encode(time / 60 % 60))
      && (memory[5] >= 0xC0 || memory[5] == format.encode(hour: time / 3600))
  }

  private static func start(ofSecondAt time: Int128) -> Int128 {
    Int128(seconds(time)) * nanosecondsPerSecond
  }

  /// Whole seconds, rounded down; a host clock of 64 bits and four-digit years keep it in range.
  private static func seconds(_ time: Int128) -> Int64 {
    let quotient = time.quotientAndRemainder(dividingBy: nanosecondsPerSecond)
    return Int64(truncatingIfNeeded: quotient.quotient - (quotient.remainder < 0 ? 1 : 0))
  }

  /// Ticks of the 32.768 kHz crystal.
  private static func ticks(_ time: Int128) -> Int128 {
    time * 32_768 / nanosecondsPerSecond
  }

  /// Crystal ticks between periodic interrupts; nil for rate 0, none.
  private static func periodicTicks(rate: UInt8) -> Int128? {
    switch rate {
    case 0: nil
    case 1, 2: 1 << Int128(rate + 6)
    default: 1 << Int128(rate - 1)
    }
  }
}
