internal import DeviceKit

/// A mouse on a PS/2 wire: three buttons, and a wheel and two more buttons for drivers that ask for
/// them as Microsoft's IntelliMouse (Explorer) has it. It knows neither lock nor controller.
///
/// | command | answer |
/// | --- | --- |
/// | 0xFF reset | 0xFA 0xAA 0x00 |
/// | 0xF2 identify | 0xFA, and 0; 3 after rates 200, 100, 80; 4 after 200, 200, 80 |
/// | 0xE8 resolution, 0xF3 rate | 0xFA, and 0xFA for the parameter |
/// | 0xE9 status | 0xFA, mode and buttons, resolution, rate |
/// | 0xEB read | 0xFA and a packet |
/// | 0xEE echo all | 0xFA; from then on each byte but 0xEC and 0xFF |
/// | 0xE6, 0xE7 scaling, 0xEA stream, 0xF0 remote, 0xEC end of echo, 0xF4, 0xF5, 0xF6 | 0xFA |
/// | unknown | 0xFE, resend |
///
/// Packets go out when the guest has read the one before, not by a clock: rate and resolution are
/// kept, and change nothing. A wheel to the side has no place in them.
struct PS2Mouse: Sendable {
  /// Packets' worth of buttons that wait; moves between two changes of buttons are added up.
  static let maximumEventCount = 64
  private static let maximumAnswerByteCount = 16
  /// What a packet's nine bits hold on both sides.
  private static let moves = -255...255
  /// What its four bits do.
  private static let notches = -7...7
  /// Where a sum of moves stops: far beyond any screen.
  private static let sums = -1_000_000...1_000_000
  private static let acknowledge: UInt8 = 0xFA
  private static let resend: UInt8 = 0xFE

  /// Moves to the right, up, and of the wheel toward the user, with buttons as they were meanwhile.
  private struct Event {
    var x = 0
    var y = 0
    var wheel = 0
    var buttons: PointerButtons
    var isEmpty: Bool { x == 0 && y == 0 && wheel == 0 }
  }

  /// The command whose parameter comes next.
  private var command: UInt8?
  private var isReporting = false
  private var isRemote = false
  private var isEchoing = false
  private var doublesMoves = false
  private var rate: UInt8 = 100
  private var resolution: UInt8 = 2
  /// The last rates, by which drivers ask for more than three buttons.
  private var rates: [UInt8] = []
  private var identifier: UInt8 = 0
  private var answers: [UInt8] = []
  /// What the guest has yet to read of a packet.
  private var packet: [UInt8] = []
  private var events: [Event] = []
  private var buttons: PointerButtons = []
  /// The place that the next one is compared with; nil before the first.
  private var place: PointerState?

  // MARK: Moves

  mutating func setPointer(_ state: PointerState) {
    var x = 0
    var y = 0
    // Another picture's place has no distance.
    if let place, place.width == state.width, place.height == state.height {
      x = Self.difference(state.x, place.x)
      y = Self.difference(place.y, state.y)
    }
    place = state
    // First the move, in as many packets as it takes: a click is where it was made.
    add(Event(x: x, y: y, buttons: buttons))
    add(Event(buttons: state.buttons))
  }

  mutating func turnWheel(_ notches: Int) {
    guard identifier != 0 else { return }
    add(Event(wheel: Self.difference(0, notches), buttons: buttons))
  }

  private mutating func add(_ event: Event) {
    let changesButtons = event.buttons != buttons
    buttons = event.buttons
    guard isReporting || isRemote, changesButtons || !event.isEmpty else { return }
    if let last = events.indices.last,
      events[last].buttons == event.buttons || events.count == Self.maximumEventCount
    {
      events[last].x = Self.sum(events[last].x, event.x)
      events[last].y = Self.sum(events[last].y, event.y)
      events[last].wheel = Self.sum(events[last].wheel, event.wheel)
      events[last].buttons = event.buttons
    } else {
      events.append(event)
    }
  }

  private static func sum(_ a: Int, _ b: Int) -> Int {
    (a + b).clamped(to: sums)
  }

  private static func difference(_ a: Int, _ b: Int) -> Int {
    let (difference, overflows) = a.subtractingReportingOverflow(b)
    return overflows ? 0 : difference.clamped(to: sums)
  }

  /// The next byte for the guest.
  mutating func nextByte() -> UInt8? {
    if !answers.isEmpty { return answers.removeFirst() }
    if packet.isEmpty {
      guard isReporting, !isRemote, !isEchoing, !events.isEmpty else { return nil }
      packet = makePacket()
    }
    return packet.removeFirst()
  }

  /// What there is to report, or that there is nothing. What does not fit stays for the next one.
  private mutating func makePacket() -> [UInt8] {
    var event = events.first ?? Event(buttons: buttons)
    let x = event.x.clamped(to: Self.moves)
    let y = event.y.clamped(to: Self.moves)
    let wheel = event.wheel.clamped(to: Self.notches)
    event.x -= x
    event.y -= y
    event.wheel -= wheel
    if !events.isEmpty {
      if event.isEmpty {
        events.removeFirst()
      } else {
        events[0] = event
      }
    }
    let (sentX, sentY) = (scaled(x), scaled(y))
    let first = (event.buttons.rawValue & 7) | 8 | (sentX < 0 ? 0x10 : 0) | (sentY < 0 ? 0x20 : 0)
    let packet = [first, UInt8(truncatingIfNeeded: sentX), UInt8(truncatingIfNeeded: sentY)]
    switch identifier {
    case 3: return packet + [UInt8(truncatingIfNeeded: wheel)]
    // Back and forward in the bits behind the wheel's.
    case 4:
      let more = (event.buttons.rawValue & 0x18) << 1
      return packet + [UInt8(truncatingIfNeeded: wheel & 0xF) | more]
    default: return packet
    }
  }

  /// Scaling 2:1, as IBM's mouse has it; in streams only.
  private func scaled(_ move: Int) -> Int {
    guard doublesMoves, !isRemote else { return move }
    let size = abs(move)
    let scaled = size < 6 ? [0, 1, 1, 3, 6, 9][size] : min(2 * size, Self.moves.upperBound)
    return move < 0 ? -scaled : scaled
  }

  // MARK: Commands

  /// A byte from the driver. It ends a packet that is on its way; the buttons are then in the next.
  mutating func write(_ byte: UInt8) {
    if !packet.isEmpty {
      packet = []
      if events.isEmpty { events.append(Event(buttons: buttons)) }
    }
    let answer = self.answer(byte)
    // Beyond that the guest asks and never reads.
    answers += answer.prefix(max(0, Self.maximumAnswerByteCount - answers.count))
  }

  private mutating func answer(_ byte: UInt8) -> [UInt8] {
    if isEchoing, byte != 0xEC, byte != 0xFF { return [byte] }
    if let command, byte != 0xFF {
      self.command = nil
      return answer(parameter: byte, of: command)
    }
    command = nil
    switch byte {
    case 0xE6: doublesMoves = false
    case 0xE7: doublesMoves = true
    case 0xE8, 0xF3: command = byte
    case 0xE9: return [Self.acknowledge, status, resolution, rate]
    case 0xEA: setMode(isRemote: false)
    case 0xEB:
      return [Self.acknowledge] + makePacket()
    case 0xEC: isEchoing = false
    case 0xEE: isEchoing = true
    case 0xF0: setMode(isRemote: true)
    case 0xF2: return [Self.acknowledge, identifier]
    case 0xF4:
      events = []
      isReporting = true
    case 0xF5:
      events = []
      isReporting = false
    case 0xF6: setDefaults()
    case 0xFF:
      setDefaults()
      isEchoing = false
      identifier = 0
      rates = []
      answers = []
      return [Self.acknowledge, 0xAA, 0x00]
    default: return [Self.resend]
    }
    return [Self.acknowledge]
  }

  private mutating func answer(parameter: UInt8, of command: UInt8) -> [UInt8] {
    guard command == 0xF3 else {
      resolution = parameter & 3
      return [Self.acknowledge]
    }
    rate = parameter
    rates = rates.suffix(2) + [parameter]
    switch rates {
    case [200, 100, 80]: identifier = 3
    case [200, 200, 80]: identifier = 4
    default: break
    }
    return [Self.acknowledge]
  }

  private mutating func setMode(isRemote: Bool) {
    self.isRemote = isRemote
    events = []
  }

  private mutating func setDefaults() {
    setMode(isRemote: false)
    isReporting = false
    doublesMoves = false
    rate = 100
    resolution = 2
  }

  /// Remote 0x40, reporting 0x20, scaling 2:1 0x10; left 0x04, middle 0x02, right 0x01.
  private var status: UInt8 {
    var status: UInt8 = (isRemote ? 0x40 : 0) | (isReporting ? 0x20 : 0) | (doublesMoves ? 0x10 : 0)
    if buttons.contains(.left) { status |= 4 }
    if buttons.contains(.middle) { status |= 2 }
    if buttons.contains(.right) { status |= 1 }
    return status
  }
}

extension Comparable {
  fileprivate func clamped(to range: ClosedRange<Self>) -> Self {
    min(max(self, range.lowerBound), range.upperBound)
  }
}

extension PS2Mouse {
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.integer(&command)
    try transfer.flag(&isReporting)
    try transfer.flag(&isRemote)
    try transfer.flag(&isEchoing)
    try transfer.flag(&doublesMoves)
    try transfer.integer(&rate)
    try transfer.integer(&resolution, in: 0...3)
    try transfer.bytes(&rates, maximumCount: 3)
    try transfer.integer(&identifier)
    try transfer.bytes(&answers, maximumCount: Self.maximumAnswerByteCount)
    try transfer.bytes(&packet, maximumCount: 4)
    try transfer.elements(
      &events, maximumCount: Self.maximumEventCount, new: Event(buttons: [])
    ) { (transfer, event) throws(StateError) in
      try transfer.integer(&event.x, in: Self.sums)
      try transfer.integer(&event.y, in: Self.sums)
      try transfer.integer(&event.wheel, in: Self.sums)
      try transfer.value(&event.buttons)
    }
    try transfer.value(&buttons)
    // Viewers come anew: there is nothing that the next place could be compared with.
    if transfer.isRestoring { place = nil }
  }
}
