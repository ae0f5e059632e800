internal import DeviceKit

/// The registers of an MC146818 clock, as functions of the time now; knows neither lock nor line.
///
/// Times are nanoseconds since 1970 as the guest counts them: the host's plus what the guest has
/// set. Source: Motorola MC146818A, "Registers"; ACPI 6.5 §4.8.2.4 for the century.
struct RTCState: Sendable {
  static let registerCount = 128
  static let century = 0x32
  private static let nanosecondsPerSecond: Int128 = 1_000_000_000
  /// *UIP* announces an update this long before it: 244 µs.
  private static let announcedNanoseconds: Int128 = 244_000
  /// From the divider's release to the first update.
  private static let firstUpdateNanoseconds: Int128 = 500_000_000
  private static let ticksPerSecond: Int128 = 32_768

  /// Register B.
  private struct Control: OptionSet {
    let rawValue: UInt8
    static let hours24 = Self(rawValue: 0x02)
    static let binary = Self(rawValue: 0x04)
    static let updateInterrupt = Self(rawValue: 0x10)
    static let alarmInterrupt = Self(rawValue: 0x20)
    static let periodicInterrupt = Self(rawValue: 0x40)
    static let set = Self(rawValue: 0x80)
    /// What a reset of the machine clears: the interrupts, and the square wave's output.
    static let clearedByReset = Self(rawValue: 0x78)
  }

  /// Register C; register B enables the interrupts by the same bits.
  private struct Flags: OptionSet {
    let rawValue: UInt8
    static let updated = Self(rawValue: 0x10)
    static let alarm = Self(rawValue: 0x20)
    static let periodic = Self(rawValue: 0x40)
    static let interrupting: UInt8 = 0x80
  }

  /// One moment's time registers: each is read from here once, so that a set of reads fits
  /// together.
  private struct Latch {
    let registers: [UInt8]
    let time: Int128
    /// Bit n: register n was read.
    var wasRead: UInt64 = 0
  }

  /// What the battery keeps while the machine is reset or off.
  struct Kept: Sendable {
    var memory: [UInt8]
    /// Register B; 24 hours, BCD.
    var control: UInt8 = 0x02
    /// Register A: 32.768 kHz crystal, 1024 Hz periodic rate.
    var rate: UInt8 = 0x26
    var offset: Int128
  }

  /// Also the time registers, while the time is stopped.
  private var memory: [UInt8]
  private var control: Control
  /// Register A: the divider in bits 6:4, the periodic rate in 3:0.
  private var rate: UInt8
  private var flags: Flags = []
  /// Guest's time less the host's.
  private var offset: Int128
  /// When `flags` were last brought up to date.
  private var checked: Int128
  private var latch: Latch?

  init(_ kept: Kept, hostTime: Int128) {
    offset = kept.offset
    memory = kept.memory
    control = Control(rawValue: kept.control).subtracting(.clearedByReset)
    rate = kept.rate
    checked = hostTime + offset
  }

  var kept: Kept {
    Kept(memory: memory, control: control.rawValue, rate: rate, offset: offset)
  }

  var isInterrupting: Bool { flags.rawValue & control.rawValue != 0 }

  /// Whether an alarm is one of the reasons.
  var isAlarmInterrupting: Bool {
    flags.contains(.alarm) && control.contains(.alarmInterrupt)
  }

  /// When, by the host's clock, the line is to be asserted next if no register is accessed before;
  /// later than `hostTime`. Nil if it is asserted, or will not be.
  func nextInterrupt(after hostTime: Int128) -> Int128? {
    guard !isInterrupting else { return nil }
    let now = hostTime + offset
    var times: [Int128] = []
    if control.contains(.periodicInterrupt), let period = periodicTicks {
      let tick = (Self.floor(Self.ticks(now), period) + 1) * period
      // The first nanosecond at which that tick has come.
      times.append(-Self.floor(-tick * Self.nanosecondsPerSecond, Self.ticksPerSecond))
    }
    if !isStopped {
      let second = Self.seconds(now)
      if control.contains(.updateInterrupt) {
        times.append(Int128(second + 1) * Self.nanosecondsPerSecond)
      }
      if control.contains(.alarmInterrupt), let alarm = nextAlarm(after: second) {
        times.append(Int128(alarm) * Self.nanosecondsPerSecond)
      }
    }
    return times.min().map { $0 - offset }
  }

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
    case 0x0A: change(rate: value & 0x7F, control: control, hostTime: hostTime)
    case 0x0B:
      var new = Control(rawValue: value)
      if new.contains(.set) { new.remove(.updateInterrupt) }
      change(rate: rate, control: new, hostTime: hostTime)
    case 0x0C, 0x0D: break
    default: memory[index] = value
    }
  }

  /// Sets the flags of what has happened since the last call.
  mutating func update(hostTime: Int128) {
    let now = hostTime + offset
    defer { checked = now }
    guard now > checked else { return }
    if let period = periodicTicks,
      Self.floor(Self.ticks(now), period) != Self.floor(Self.ticks(checked), period)
    {
      flags.insert(.periodic)
    }
    let last = Self.seconds(checked)
    let current = Self.seconds(now)
    guard current > last, !isStopped else { return }
    flags.insert(.updated)
    if let alarm = nextAlarm(after: last), alarm <= current { flags.insert(.alarm) }
  }

  private mutating func readTime(_ index: Int, now: Int128) -> UInt8 {
    if isStopped { return memory[index] }
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
    if isStopped {
      memory[index] = value
      return
    }
    let now = hostTime + offset
    memory = encoded(now)
    memory[index] = value
    setTime(nanoseconds: now - Self.start(ofSecondAt: now), hostTime: hostTime)
  }

  /// Changes registers A and B; the time stops and goes on with them.
  private mutating func change(rate: UInt8, control: Control, hostTime: Int128) {
    let wasStopped = isStopped
    let wasDividerReset = isDividerReset
    // In the old format: changing it does not convert what is stored.
    let time = encoded(hostTime + offset)
    self.rate = rate
    self.control = control
    if !wasStopped, isStopped { memory = time }
    if wasStopped, !isStopped {
      // Drivers that hold the divider count on that to set fractions of a second.
      setTime(
        nanoseconds: wasDividerReset
          ? Self.nanosecondsPerSecond - Self.firstUpdateNanoseconds : 0,
        hostTime: hostTime)
    }
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
    return !isStopped
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

  /// *SET* stops the time, and so does a divider that is held.
  private var isStopped: Bool { control.contains(.set) || isDividerReset }

  /// The divider is held in reset, 110 or 111 in bits 6:4.
  private var isDividerReset: Bool { rate & 0x60 == 0x60 }

  /// The first second after `second` at which all alarm registers match; nil if none does, ever.
  private func nextAlarm(after second: Int64) -> Int64? {
    let hours = matches(5, 0..<24) { format.encode(hour: $0) }
    let minutes = matches(3, 0..<60) { format.encode($0) }
    let seconds = matches(1, 0..<60) { format.encode($0) }
    guard let hour = hours.first, let minute = minutes.first, let first = seconds.first else {
      return nil
    }
    let day = Self.floor(second, CalendarTime.secondsPerDay) * CalendarTime.secondsPerDay
    let now = Int(second - day)
    // Of a later hour its first minute counts, of a later minute its first second.
    for hour in hours where hour >= now / 3600 {
      for minute in minutes where hour * 60 + minute >= now / 60 {
        let start = hour * 3600 + minute * 60
        if let next = seconds.first(where: { start + $0 > now }) {
          return day + Int64(start + next)
        }
      }
    }
    return day + CalendarTime.secondsPerDay + Int64(hour * 3600 + minute * 60 + first)
  }

  /// The values that an alarm register stands for: all, if it is 0xC0 or above.
  private func matches(
    _ index: Int, _ values: Range<Int>, encode: (Int) -> UInt8
  ) -> [Int] {
    memory[index] >= 0xC0 ? Array(values) : values.filter { encode($0) == memory[index] }
  }

  private static func start(ofSecondAt time: Int128) -> Int128 {
    Int128(seconds(time)) * nanosecondsPerSecond
  }

  /// Whole seconds, rounded down; a host clock of 64 bits and four-digit years keep it in range.
  private static func seconds(_ time: Int128) -> Int64 {
    Int64(truncatingIfNeeded: floor(time, nanosecondsPerSecond))
  }

  /// Ticks of the 32.768 kHz crystal.
  private static func ticks(_ time: Int128) -> Int128 {
    floor(time * ticksPerSecond, nanosecondsPerSecond)
  }

  /// Crystal ticks between periodic interrupts; nil for rate 0, none, and while the divider is
  /// held.
  private var periodicTicks: Int128? {
    guard !isDividerReset else { return nil }
    switch rate & 0x0F {
    case 0: return nil
    case let rate where rate <= 2: return 1 << Int128(rate + 6)
    case let rate: return 1 << Int128(rate - 1)
    }
  }

  /// A quotient, rounded down.
  private static func floor<T: SignedInteger>(_ value: T, _ divisor: T) -> T {
    let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? quotient - 1 : quotient
  }
}

extension RTCState {
  /// Far beyond all years of four digits, far from where sums overflow.
  private static let possibleTimes = -(1 as Int128) << 70...(1 as Int128) << 70

  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.bytes(&memory)
    try transfer.value(&control)
    try transfer.integer(&rate)
    try transfer.value(&flags)
    // The host's clock goes on while a machine is saved, and so does this one.
    try Self.transfer(&offset, &transfer)
    try Self.transfer(&checked, &transfer)
    if transfer.isRestoring { latch = nil }
  }

  private static func transfer(
    _ time: inout Int128, _ transfer: inout StateTransfer
  ) throws(StateError) {
    var raw = UInt128(bitPattern: time)
    try transfer.integer(&raw)
    let new = Int128(bitPattern: raw)
    try transfer.check(possibleTimes.contains(new), "a clock of another age")
    time = new
  }
}
