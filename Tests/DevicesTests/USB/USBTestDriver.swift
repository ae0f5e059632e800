import Bytes
import DeviceKit
import GuestMemory
import HostSystem
import Sandbox
import TestSupport
import Testing

@testable import Devices

/// A controller with guest memory and a driver: rings, contexts and data at fixed places.
///
/// Its thread, and the one that reads and writes its registers, are under the filters of the
/// program's.
final class USBTestDriver {
  static let contextArray: UInt64 = 0x1000
  static let commands: UInt64 = 0x2000
  static let segmentTable: UInt64 = 0x3000
  static let events: UInt64 = 0x4000
  static let input: UInt64 = 0x8000
  static let contexts: UInt64 = 0x1_0000
  static let rings: UInt64 = 0x10_0000
  static let data: UInt64 = 0x30_0000
  static let ramByteCount: UInt64 = 4 << 20
  private static let address = PCIAddress(device: 1)

  typealias Register = XHCICore.Register
  typealias Request = XHCITransferRequest

  let memory: GuestMemory
  let controller: XHCIController
  let sink = RecordingSink()
  let line = RecordingLine()
  let vcpu = RoleThread(.vcpu)
  private let host: PCIHost
  /// What the last *Stop Endpoint* reported of a block that waited.
  private(set) var stopped: Event?
  /// Where the driver is in the rings.
  var command = XHCIRing(USBTestDriver.commands | 1)
  var eventIndex: UInt64 = 0
  var eventCount: UInt64 = 16
  var eventCycle = true
  var endpoints: [UInt64: XHCIRing] = [:]

  /// - Parameter starts: whether the controller runs.
  convenience init(
    _ devices: [XHCIController.Device] = [.tablet, .keyboard], usesMSIX: Bool = false,
    starts: Bool = true
  ) throws {
    self.init(
      devices, over: try GuestMemory(layout: GuestMemoryLayout(ramByteCount: Self.ramByteCount)),
      usesMSIX: usesMSIX)
    try controller.start()
    if starts { try start() }
  }

  /// The driver with another controller over the same memory, which is to go on where the first one
  /// is: as new, not started, and with configuration registers as the first one has them.
  convenience init(
    insteadOf other: USBTestDriver, _ devices: [XHCIController.Device] = [.tablet, .keyboard]
  ) {
    self.init(devices, over: other.memory, usesMSIX: other.controller.endpoint.usesMSIX)
    (command, endpoints) = (other.command, other.endpoints)
    (eventIndex, eventCount, eventCycle) = (other.eventIndex, other.eventCount, other.eventCycle)
  }

  private init(_ devices: [XHCIController.Device], over memory: GuestMemory, usesMSIX: Bool) {
    self.memory = memory
    controller = XHCIController(
      devices,
      context: PCIContext(
        memory: memory, messages: sink, interruptLine: line,
        onThreadStart: { ThreadFilter.enter(.disk) }))
    host = PCIHost([(Self.address, controller)])
    configureFunction(usesMSIX: usesMSIX)
  }

  private func configureFunction(usesMSIX: Bool) {
    configure(0x04, 2, 6)
    guard usesMSIX else { return }
    write(UInt64(Register.endOffset), 0xFEE0_0000)
    write(Register.endOffset + 8, 0x41)
    write(Register.endOffset + 12, 0)
    configure(0x42, 2, 0x8000)
  }

  /// As drivers do: slots, contexts, rings, interrupts, run; takes the events of ports.
  func start() throws {
    command = XHCIRing(Self.commands | 1)
    eventIndex = 0
    eventCycle = true
    endpoints = [:]
    write(Register.configuration, 64)
    write(Register.contextArray, Self.contextArray, width: 8)
    write(Register.commandRing, Self.commands | 1, width: 8)
    try memory.store(Self.events, at: GPA(Self.segmentTable))
    try memory.store(UInt32(eventCount), at: GPA(Self.segmentTable + 8))
    write(Register.interrupter + 0x08, 1)
    write(Register.interrupter + 0x10, Self.segmentTable, width: 8)
    write(Register.interrupter + 0x18, Self.events | 8, width: 8)
    write(Register.interrupter, 2)
    write(Register.command, 5)
  }

  func configure(_ offset: Int, _ width: Int, _ value: UInt64) {
    vcpu.run { [host] in
      host.writeConfiguration(Self.address, offset: offset, width: width, value: value)
    }
  }

  func write(_ offset: UInt64, _ value: UInt64, width: Int = 4) {
    vcpu.run { [controller] in
      guard !controller.endpoint.writeBAR(0, offset: offset, width: width, value: value) else {
        return
      }
      controller.writeBAR(0, offset: offset, width: width, value: value)
    }
  }

  func read(_ offset: UInt64, width: Int = 4) -> UInt64 {
    vcpu.run { [controller] in
      let value = controller.readBAR(0, offset: offset, width: width)
      return width == 8 ? value : value & (1 << UInt64(8 * width) - 1)
    }
  }

  /// *PORTSC*; ports from 1.
  static func port(_ number: Int) -> UInt64 { Register.firstPort + 0x10 * UInt64(number - 1) }

  // MARK: Rings

  /// Puts a block on a ring.
  ///
  /// - Parameter flags: what of the last word is neither its kind nor its cycle bit.
  func put(
    _ kind: Request.Kind, _ parameter: UInt64 = 0, status: UInt32 = 0, flags: UInt32 = 0,
    on ring: inout XHCIRing
  ) throws {
    try memory.store(parameter, at: GPA(ring.pointer))
    try memory.store(status, at: GPA(ring.pointer + 8))
    try memory.store(
      flags | UInt32(kind.rawValue) << 10 | (ring.cycle ? 1 : 0), at: GPA(ring.pointer + 12))
    ring.advance()
  }

  /// An event: kind, code, slot, the last word's bits 16 to 20 as `endpoint`.
  struct Event: Equatable {
    var kind: Request.Kind
    var code: XHCICompletion
    var parameter: UInt64 = 0
    var byteCount = 0
    var slot = 0
    var endpoint = 0
    var isData = false
  }

  private var eventPlace: UInt64 { Self.events + 16 * eventIndex }

  /// Whether there is an event that was not taken.
  var hasEvent: Bool {
    get throws {
      try memory.load(at: GPA(eventPlace + 12), as: UInt32.self) & 1 == (eventCycle ? 1 : 0)
    }
  }

  /// Waits for the next event, and takes it.
  func nextEvent() throws -> Event {
    try waitUntil { try hasEvent }
    let control: UInt32 = try memory.load(at: GPA(eventPlace + 12))
    let status: UInt32 = try memory.load(at: GPA(eventPlace + 8))
    let event = Event(
      kind: .init(rawValue: UInt8(control >> 10 & 0x3F)),
      code: XHCICompletion(rawValue: UInt8(status >> 24)),
      parameter: try memory.load(at: GPA(eventPlace)), byteCount: Int(status & 0xFF_FFFF),
      slot: Int(control >> 24), endpoint: Int(control >> 16 & 0x1F), isData: control & 4 != 0)
    eventIndex += 1
    if eventIndex == eventCount {
      eventIndex = 0
      eventCycle.toggle()
    }
    write(Register.interrupter + 0x18, eventPlace | 8, width: 8)
    return event
  }

  /// Runs a command. What *Stop Endpoint* reports before its end is in `stopped`.
  func run(
    _ kind: Request.Kind, _ parameter: UInt64 = 0, slot: Int = 0, endpoint: Int = 0,
    flags: UInt32 = 0
  ) throws -> (code: XHCICompletion, slot: Int) {
    let place = command.pointer
    try put(
      kind, parameter, flags: flags | UInt32(slot) << 24 | UInt32(endpoint) << 16, on: &command)
    if command.pointer == Self.commands + 16 * 15 {
      // Round and round.
      try put(.link, Self.commands, flags: 2, on: &command)
      command = XHCIRing(Self.commands | (command.cycle ? 0 : 1))
    }
    write(Register.bells, 0)
    var event = try nextEvent()
    stopped = nil
    if kind == .stopEndpoint, event.kind == .transferEvent {
      stopped = event
      event = try nextEvent()
    }
    #expect(event.kind == .commandCompletion)
    #expect(event.parameter == place, "\(event)")
    return (event.code, event.slot)
  }

  // MARK: Devices

  static func contexts(_ slot: Int) -> UInt64 { contexts + UInt64(slot) << 10 }
  static func ring(_ slot: Int, _ endpoint: Int) -> UInt64 {
    rings + UInt64(slot) << 15 + UInt64(endpoint) << 10
  }

  /// Writes an input context: control, slot, then endpoints with their rings.
  func putInput(
    slot: Int, port: Int, added: UInt32, dropped: UInt32 = 0, endpoint: Int? = nil,
    kind: UInt32 = 7, byteCount: UInt32 = 8
  ) throws {
    try memory.fill(at: GPA(Self.input), byteCount: 33 * 32, with: 0)
    try memory.store(dropped, at: GPA(Self.input))
    try memory.store(added, at: GPA(Self.input + 4))
    try memory.store(UInt32(endpoint ?? 1) << 27 | 3 << 20, at: GPA(Self.input + 32))
    try memory.store(UInt32(port) << 16, at: GPA(Self.input + 36))
    if added & 2 != 0 { try putEndpoint(1, of: slot, kind: 4, byteCount: 64) }
    if let endpoint { try putEndpoint(endpoint, of: slot, kind: kind, byteCount: byteCount) }
  }

  func putEndpoint(_ index: Int, of slot: Int, kind: UInt32, byteCount: UInt32) throws {
    let place = Self.input + 32 * UInt64(index + 1)
    try memory.store(kind << 3 | byteCount << 16 | 3 << 1, at: GPA(place + 4))
    try memory.store(Self.ring(slot, index) | 1, at: GPA(place + 8))
    endpoints[Self.ring(slot, index)] = XHCIRing(Self.ring(slot, index) | 1)
  }

  /// A word of a device's contexts, as the controller wrote it.
  func context(_ slot: Int, _ index: Int, word: Int) throws -> UInt32 {
    try memory.load(at: GPA(Self.contexts(slot) + UInt64(32 * index + 4 * word)))
  }

  /// Resets a port and takes its event.
  func resetPort(_ port: Int) throws {
    write(Self.port(port), 0x210)
    #expect(
      try nextEvent()
        == Event(kind: .portStatusChange, code: .success, parameter: UInt64(port) << 24))
    write(Self.port(port), 0x7F << 17)
  }

  /// Takes the events that every port with a device begins with.
  func takeConnections(_ count: Int = 2) throws {
    for port in 1...count {
      #expect(
        try nextEvent()
          == Event(kind: .portStatusChange, code: .success, parameter: UInt64(port) << 24))
    }
  }

  /// Up to a device with an address.
  func address(port: Int) throws -> Int {
    try resetPort(port)
    let (code, slot) = try run(.enableSlot)
    #expect(code == .success)
    try memory.store(Self.contexts(slot), at: GPA(Self.contextArray + 8 * UInt64(slot)))
    try putInput(slot: slot, port: port, added: 3)
    #expect(try run(.addressDevice, Self.input, slot: slot).code == .success)
    return slot
  }

  /// Up to a device that is configured, its interrupt endpoint too.
  func configure(port: Int) throws -> Int {
    let slot = try address(port: port)
    try putInput(slot: slot, port: port, added: 1 << 3 | 1, endpoint: 3)
    #expect(try run(.configureEndpoint, Self.input, slot: slot).code == .success)
    #expect(try request(slot, 0x0009, value: 1).code == .success)
    return slot
  }

  func ringBell(_ slot: Int, _ endpoint: Int) {
    write(Register.bells + 4 * UInt64(slot), UInt64(endpoint))
  }

  /// Puts a block on an endpoint's ring.
  func put(
    _ kind: Request.Kind, _ parameter: UInt64 = 0, status: UInt32 = 0, flags: UInt32 = 0, slot: Int,
    endpoint: Int
  ) throws {
    let start = Self.ring(slot, endpoint)
    var ring = endpoints[start] ?? XHCIRing(start | 1)
    if ring.pointer == start + 16 * 15 {
      try put(.link, start, flags: 2 | flags & 1 << 4, on: &ring)
      ring = XHCIRing(start | (ring.cycle ? 0 : 1))
    }
    try put(kind, parameter, status: status, flags: flags, on: &ring)
    endpoints[start] = ring
  }

  /// A control transfer, as Linux makes it: only the status stage reports, or a short packet.
  ///
  /// - Parameter number: type and code.
  /// - Returns: how it ended, and the data of an input.
  func request(
    _ slot: Int, _ number: UInt16, value: UInt16 = 0, index: UInt16 = 0, byteCount: UInt16 = 0,
    data: [UInt8] = []
  ) throws -> (code: XHCICompletion, data: [UInt8]) {
    let isInput = number & 0x8000 != 0
    let count = isInput ? byteCount : UInt16(data.count)
    let setup =
      UInt64(number >> 8 | number << 8) | UInt64(value) << 16 | UInt64(index) << 32
      | UInt64(count) << 48
    let stage: UInt32 = count == 0 ? 0 : isInput ? 3 : 2
    try put(.setupStage, setup, status: 8, flags: 1 << 6 | stage << 16, slot: slot, endpoint: 1)
    if count > 0 {
      try memory.fill(at: GPA(Self.data), byteCount: Int(count), with: 0xEE)
      if !isInput { try memory.write(data, at: GPA(Self.data)) }
      try put(
        .dataStage, Self.data, status: UInt32(count), flags: 1 << 2 | (isInput ? 1 << 16 : 0),
        slot: slot, endpoint: 1)
    }
    try put(
      .statusStage, flags: 1 << 5 | (isInput && count > 0 ? 0 : 1 << 16), slot: slot, endpoint: 1)
    ringBell(slot, 1)
    var event = try nextEvent()
    var length = Int(count)
    if event.code == .shortPacket {
      length -= event.byteCount
      event = try nextEvent()
    }
    #expect(event.kind == .transferEvent && event.slot == slot && event.endpoint == 1)
    guard isInput, event.code == .success else { return (event.code, []) }
    return (event.code, try memory.read(at: GPA(Self.data), byteCount: length))
  }

  /// Makes an endpoint that halted usable again, past what is on its ring.
  func recover(_ slot: Int, _ endpoint: Int) throws {
    #expect(try run(.resetEndpoint, slot: slot, endpoint: endpoint).code == .success)
    let ring = try #require(endpoints[Self.ring(slot, endpoint)])
    #expect(
      try run(.setDequeuePointer, ring.value, slot: slot, endpoint: endpoint).code == .success)
  }

  /// Waits for a report: gives the endpoint room for one.
  func awaitReport(_ slot: Int, byteCount: UInt32 = 8) throws {
    try put(
      .normal, Self.data + 0x100, status: byteCount, flags: 1 << 5 | 1 << 2, slot: slot, endpoint: 3
    )
    ringBell(slot, 3)
  }

  /// Takes the report that was waited for.
  func takeReport(_ slot: Int) throws -> [UInt8] {
    let event = try nextEvent()
    #expect(event.kind == .transferEvent && event.slot == slot && event.endpoint == 3)
    return try memory.read(at: GPA(Self.data + 0x100), byteCount: 8 - event.byteCount)
  }
}
