import Bytes
import DeviceKit
import GuestMemory
import HostSystem
import TestSupport
import Testing
import ZeroTracker

@testable import Devices

/// Registers, ports, rings and commands of the controller.
struct XHCIControllerTests {
  private typealias Driver = USBTestDriver
  private typealias Register = XHCICore.Register

  @Test func registersAfterPowerOn() throws {
    let driver = try Driver([.tablet], starts: false)
    for (offset, value): (UInt64, UInt64) in [
      (0x00, 0x0100_0040), (0x04, 0x0400_0140), (0x08, 0x40), (0x0C, 0), (0x10, 0x0200_0001),
      (0x14, 0x2000), (0x18, 0x1000), (0x1C, 0), (0x40, 0), (0x44, 0x11), (0x48, 1), (0x54, 0),
      (0x58, 0), (0x5C, 0), (0x70, 0), (0x78, 0),
      // A device that waits for its reset; ports without any, of USB 2 and 3.
      (0x440, 0x2_0EE1), (0x450, 0x2A0), (0x460, 0x2A0), (0x470, 0x2A0), (0x480, 0),
      (0x800, 0x0200_0402), (0x804, 0x2042_5355), (0x808, 0x201), (0x80C, 0),
      (0x810, 0x0300_0002), (0x814, 0x2042_5355), (0x818, 0x203), (0x81C, 0), (0x820, 0),
      (0x1000, 0), (0x1020, 0), (0x1024, 4000), (0x1028, 0), (0x1030, 0), (0x1038, 0),
      (0x1040, 0), (0x2000, 0), (0x2FFC, 0),
    ] { #expect(driver.read(offset) == value, "0x\(String(offset, radix: 16))") }
    // What can be written, what of it stays; then reset.
    for (offset, value): (UInt64, UInt64) in [
      (0x54, 0xFFFF), (0x58, 0), (0x70, 0xFFFF_FFC0), (0x74, 0xFFFF_FFFF), (0x78, 0x3FF),
      (0x444, 0xFFFF_FFFF), (0x1024, 0xFFFF_FFFF), (0x1028, 0xFFFF), (0x1030, 0xFFFF_FFC0),
      (0x1034, 0xFFFF_FFFF), (0x1038, 0xFFFF_FFF7), (0x103C, 0xFFFF_FFFF), (0x2000, 0),
    ] {
      driver.write(offset, 0xFFFF_FFFF)
      #expect(driver.read(offset) == value, "0x\(String(offset, radix: 16))")
    }
    driver.write(0x70, 0x1_2345_6789_ABCD, width: 8)
    #expect(driver.read(0x70, width: 8) == 0x1_2345_6789_ABC0)
    #expect(driver.read(0x72, width: 2) == 0x6789)
    driver.write(0x70, 0, width: 1)
    driver.write(0x71, 0, width: 4)
    #expect(driver.read(0x70) == 0x6789_ABC0)
    driver.write(0x40, 2)
    #expect(driver.read(0x40) == 0)
    #expect(driver.read(0x70, width: 8) == 0)
    #expect(driver.read(0x440) == 0x2_0EE1)
    #expect(driver.controller.configuration.read(offset: 8, width: 4) == 0x0C03_3001)
    #expect(driver.controller.configuration.read(offset: 0x60, width: 1) == 0x30)
  }

  @Test("ports: connection, reset, sleep, disabling, and what the guest is told")
  func ports() throws {
    let driver = try Driver()
    try driver.takeConnections()
    #expect(driver.read(Register.status) & 0x10 == 0x10)
    driver.write(Register.status, 0x18)
    #expect(driver.read(Register.status) == 0)
    driver.write(Driver.port(1), 0x2_0200)
    #expect(driver.read(Driver.port(1)) == 0x0EE1)
    try driver.resetPort(1)
    #expect(driver.read(Driver.port(1)) == 0x0E03)
    // Asleep, asked to resume, awake.
    driver.write(Driver.port(1), 0x1_0260)
    #expect(driver.read(Driver.port(1)) == 0x0E63)
    driver.write(Driver.port(1), 0x1_03E0)
    #expect(driver.read(Driver.port(1)) == 0x0FE3)
    driver.write(Driver.port(1), 0x1_0200)
    #expect(driver.read(Driver.port(1)) == 0x40_0E03)
    #expect(try driver.nextEvent().kind == .portStatusChange)
    // Wake bits stay; *Port Enabled* is taken back by 1.
    driver.write(Driver.port(1), 0x0E40_0202)
    #expect(driver.read(Driver.port(1)) == 0x0E00_0EE1)
    // Nothing to reset, to resume, to suspend.
    for port in [3, 4] {
      for value: UInt64 in [0x210, 0x1_03E0, 0x1_0260, 0x1_0200, 0x8000_0200] {
        driver.write(Driver.port(port), value)
        #expect(driver.read(Driver.port(port)) == 0x2A0)
      }
      driver.write(Driver.port(port), 0x1_0280)
      #expect(driver.read(Driver.port(port)) == 0x280)
      driver.write(Driver.port(port), 0x1_02A0)
      #expect(driver.read(Driver.port(port)) == 0x2A0)
    }
    #expect(try !driver.hasEvent)
  }

  @Test("slots: 64, less if the guest says so, each with its number; and none twice")
  func slots() throws {
    let driver = try Driver()
    try driver.takeConnections()
    for number in 1...64 {
      #expect(try driver.run(.enableSlot) == (.success, number))
    }
    #expect(try driver.run(.enableSlot) == (.noSlots, 0))
    #expect(try driver.run(.disableSlot, slot: 7) == (.success, 7))
    #expect(try driver.run(.disableSlot, slot: 7) == (.slotNotEnabled, 7))
    driver.write(Register.configuration, 6)
    #expect(try driver.run(.enableSlot) == (.noSlots, 0))
    driver.write(Register.configuration, 7)
    #expect(try driver.run(.enableSlot) == (.success, 7))
  }

  @Test("commands that there are not, or not for this slot")
  func wrongCommands() throws {
    let driver = try Driver()
    try driver.takeConnections()
    #expect(try driver.run(.noCommand).code == .success)
    for kind: UInt8 in [0, 1, 18, 19, 20, 21, 22, 32, 63] {
      #expect(try driver.run(.init(rawValue: kind), slot: 1).code == .requestError)
    }
    for kind: UInt8 in 10...17 {
      for slot in [0, 1, 65, 255] {
        #expect(try driver.run(.init(rawValue: kind), slot: slot).code == .slotNotEnabled)
      }
    }
    #expect(try driver.run(.enableSlot).slot == 1)
    for kind: XHCITransferRequest.Kind in [.configureEndpoint, .evaluateContext, .resetDevice] {
      #expect(try driver.run(kind, Driver.input, slot: 1).code == .contextStateError)
    }
    for kind: XHCITransferRequest.Kind in [.stopEndpoint, .resetEndpoint, .setDequeuePointer] {
      #expect(try driver.run(kind, slot: 1, endpoint: 0).code == .requestError)
      #expect(try driver.run(kind, slot: 1, endpoint: 1).code == .contextStateError)
    }
  }

  @Test func addressDevice() throws {
    let driver = try Driver()
    try driver.takeConnections()
    #expect(try driver.run(.enableSlot).slot == 1)
    try driver.memory.store(Driver.contexts(1), at: GPA(Driver.contextArray + 8))
    func address(_ flags: UInt32 = 0, slot: Int = 1) throws -> XHCICompletion {
      try driver.run(.addressDevice, Driver.input, slot: slot, flags: flags).code
    }
    // No context where it says; contexts that are not added; no such port; a route; no endpoint.
    #expect(try driver.run(.addressDevice, 0 &- 16, slot: 1).code == .requestError)
    try driver.putInput(slot: 1, port: 1, added: 1)
    #expect(try address() == .requestError)
    for port in [0, 5, 255] {
      try driver.putInput(slot: 1, port: port, added: 3)
      #expect(try address() == .parameterError)
    }
    try driver.putInput(slot: 1, port: 1, added: 3)
    try driver.memory.store(UInt32(1), at: GPA(Driver.input + 32))
    #expect(try address() == .parameterError)
    try driver.putInput(slot: 1, port: 1, added: 3)
    try driver.putEndpoint(1, of: 1, kind: 7, byteCount: 64)
    #expect(try address() == .parameterError)
    // A port that was not reset, and one without a device.
    for port in [1, 3] {
      try driver.putInput(slot: 1, port: port, added: 3)
      #expect(try address() == .transactionError)
    }
    try driver.resetPort(1)
    // Without an address first, then with it; not again.
    try driver.putInput(slot: 1, port: 1, added: 3)
    #expect(try address(1 << 9) == .success)
    #expect(try driver.context(1, 0, word: 3) == 1 << 27)
    #expect(try driver.context(1, 1, word: 0) == 1)
    #expect(try driver.context(1, 1, word: 1) == 4 << 3 | 64 << 16 | 6)
    #expect(try address(1 << 9) == .contextStateError)
    #expect(try address() == .success)
    #expect(try driver.context(1, 0, word: 3) == 2 << 27 | 1)
    #expect(try driver.context(1, 0, word: 1) == 1 << 16)
    #expect(try address() == .contextStateError)
    // One slot for a device.
    #expect(try driver.run(.enableSlot).slot == 2)
    #expect(try address(slot: 2) == .requestError)
    #expect(try driver.run(.disableSlot, slot: 1).code == .success)
    #expect(try driver.context(1, 0, word: 3) == 0)
    try driver.memory.store(Driver.contexts(2), at: GPA(Driver.contextArray + 16))
    try driver.putInput(slot: 2, port: 1, added: 3)
    #expect(try address(slot: 2) == .success)
    #expect(try driver.context(2, 0, word: 3) == 2 << 27 | 2)
  }

  @Test func configureEndpoints() throws {
    let driver = try Driver()
    try driver.takeConnections()
    let slot = try driver.address(port: 1)
    func configure(_ flags: UInt32 = 0) throws -> XHCICompletion {
      try driver.run(.configureEndpoint, Driver.input, slot: slot, flags: flags).code
    }
    // The control endpoint is neither added nor dropped.
    for (added, dropped): (UInt32, UInt32) in [(3, 0), (1, 1), (1, 2)] {
      try driver.putInput(slot: slot, port: 1, added: added, dropped: dropped)
      #expect(try configure() == .requestError)
    }
    // Isochronous, control, the wrong direction, of none, without packets.
    for (kind, byteCount): (UInt32, UInt32) in [(1, 8), (5, 8), (4, 8), (3, 8), (0, 8), (7, 0)] {
      try driver.putInput(
        slot: slot, port: 1, added: 9, endpoint: 3, kind: kind, byteCount: byteCount)
      #expect(try configure() == .parameterError)
      #expect(try driver.context(slot, 3, word: 0) == 0)
    }
    // Streams.
    try driver.putInput(slot: slot, port: 1, added: 9, endpoint: 3)
    try driver.memory.store(UInt32(1 << 10), at: GPA(Driver.input + 4 * 32))
    #expect(try configure() == .parameterError)
    try driver.putInput(slot: slot, port: 1, added: 9, endpoint: 3)
    #expect(try configure() == .success)
    #expect(try driver.context(slot, 3, word: 0) == 1)
    #expect(try driver.context(slot, 3, word: 2) == UInt32(Driver.ring(slot, 3)) | 1)
    #expect(try driver.context(slot, 0, word: 0) >> 27 == 3)
    #expect(try driver.context(slot, 0, word: 3) == 3 << 27 | UInt32(slot))
    // Dropped and added at once, dropped, all of them.
    try driver.putInput(slot: slot, port: 1, added: 9, dropped: 8, endpoint: 3)
    #expect(try configure() == .success)
    try driver.putInput(slot: slot, port: 1, added: 1, dropped: 8)
    #expect(try configure() == .success)
    #expect(try driver.context(slot, 3, word: 0) == 0)
    #expect(try driver.context(slot, 0, word: 3) == 2 << 27 | UInt32(slot))
    try driver.putInput(slot: slot, port: 1, added: 9, endpoint: 3)
    #expect(try configure() == .success)
    #expect(try configure(1 << 9) == .success)
    #expect(try driver.context(slot, 3, word: 0) == 0)
    #expect(try driver.context(slot, 0, word: 0) >> 27 == 1)
    #expect(try driver.run(.stopEndpoint, slot: slot, endpoint: 3).code == .endpointNotEnabled)
  }

  @Test func evaluateContextAndResetDevice() throws {
    let driver = try Driver()
    try driver.takeConnections()
    let slot = try driver.configure(port: 1)
    try driver.putInput(slot: slot, port: 1, added: 3)
    try driver.putEndpoint(1, of: slot, kind: 4, byteCount: 512)
    try driver.memory.store(UInt32(0x77) | 9 << 16, at: GPA(Driver.input + 36))
    #expect(try driver.run(.evaluateContext, Driver.input, slot: slot).code == .success)
    #expect(try driver.context(slot, 1, word: 1) >> 16 == 512)
    #expect(try driver.context(slot, 0, word: 1) == 1 << 16 | 0x77)
    #expect(try driver.run(.resetDevice, slot: slot).code == .success)
    #expect(try driver.context(slot, 0, word: 3) == 1 << 27)
    #expect(try driver.context(slot, 3, word: 0) == 0)
    #expect(try driver.run(.resetDevice, slot: slot).code == .contextStateError)
    // With the ring where the driver has it by now.
    let ring = try #require(driver.endpoints[Driver.ring(slot, 1)])
    try driver.putInput(slot: slot, port: 1, added: 3)
    driver.endpoints[Driver.ring(slot, 1)] = ring
    try driver.memory.store(ring.value, at: GPA(Driver.input + 2 * 32 + 8))
    #expect(try driver.run(.addressDevice, Driver.input, slot: slot).code == .success)
    #expect(try driver.request(slot, 0x8008, byteCount: 1) == (.success, [0]))
  }

  @Test("an endpoint that is stopped and moved goes on where it was put")
  func stopAndMove() throws {
    let driver = try Driver()
    try driver.takeConnections()
    let slot = try driver.configure(port: 1)
    try driver.awaitReport(slot)
    #expect(try driver.run(.resetEndpoint, slot: slot, endpoint: 3).code == .contextStateError)
    #expect(
      try driver.run(.setDequeuePointer, Driver.data, slot: slot, endpoint: 3).code
        == .contextStateError)
    #expect(try driver.run(.stopEndpoint, slot: slot, endpoint: 3).code == .success)
    let stopped = Driver.Event(
      kind: .transferEvent, code: .stopped, parameter: Driver.ring(slot, 3), byteCount: 8,
      slot: slot, endpoint: 3)
    #expect(driver.stopped == stopped)
    // Nothing is under way there.
    #expect(try driver.run(.stopEndpoint, slot: slot, endpoint: 1).code == .success)
    #expect(driver.stopped == nil)
    #expect(try driver.context(slot, 3, word: 0) == 3)
    #expect(try driver.context(slot, 3, word: 2) == UInt32(Driver.ring(slot, 3)) | 1)
    #expect(try driver.run(.stopEndpoint, slot: slot, endpoint: 3).code == .contextStateError)
    // Stopped, it has no report.
    #expect(!driver.controller.engine.inputs.take(.wheel(1)))
    let place = Driver.ring(slot, 3) + 0x200
    #expect(
      try driver.run(.setDequeuePointer, place | 1, slot: slot, endpoint: 3).code == .success)
    #expect(try driver.context(slot, 3, word: 2) == UInt32(place) | 1)
    driver.endpoints[Driver.ring(slot, 3)] = XHCIRing(place | 1)
    try driver.awaitReport(slot)
    #expect(driver.controller.engine.inputs.take(.wheel(1)))
    #expect(try driver.nextEvent().parameter == place)
    #expect(try driver.context(slot, 3, word: 0) & 7 == 1)
  }

  @Test("what was moved before an endpoint stops is reported: event data comes first")
  func eventDataBeforeTheStop() throws {
    let driver = try Driver()
    try driver.takeConnections()
    let slot = try driver.configure(port: 1)
    driver.configure(0x04, 2, 2)
    try driver.put(.eventData, 0x1234, flags: 1 << 5, slot: slot, endpoint: 3)
    driver.ringBell(slot, 3)
    try driver.put(.stopEndpoint, flags: UInt32(slot) << 24 | 3 << 16, on: &driver.command)
    driver.write(Register.bells, 0)
    #expect(try !driver.hasEvent)
    driver.configure(0x04, 2, 6)
    let data = try driver.nextEvent()
    #expect(data.kind == .transferEvent && data.isData && data.parameter == 0x1234)
    let stop = try driver.nextEvent()
    #expect(stop.kind == .commandCompletion && stop.code == .success)
  }

  @Test("the command ring stops where it is, and goes on from where it is put")
  func commandRing() throws {
    let driver = try Driver()
    try driver.takeConnections()
    #expect(driver.read(Register.commandRing) == 0)
    #expect(try driver.run(.noCommand).code == .success)
    #expect(driver.read(Register.commandRing) == 8)
    // While it runs, the pointer stays.
    driver.write(Register.commandRing, Driver.data | 1, width: 8)
    #expect(try driver.run(.noCommand).code == .success)
    for bit: UInt64 in [2, 4] {
      driver.write(Register.commandRing, bit)
      #expect(
        try driver.nextEvent()
          == .init(
            kind: .commandCompletion, code: .commandRingStopped, parameter: driver.command.pointer))
      #expect(driver.read(Register.commandRing) == 0)
      #expect(try driver.run(.noCommand).code == .success)
    }
    driver.write(Register.command, 4)
    #expect(driver.read(Register.commandRing) == 0)
    #expect(driver.read(Register.status) & 1 == 1)
    driver.write(Register.bells, 0)
    driver.write(Register.commandRing, Driver.commands | 1, width: 8)
    try driver.memory.fill(at: GPA(Driver.commands), byteCount: 4096, with: 0)
    driver.command = XHCIRing(Driver.commands | 1)
    driver.write(Register.command, 5)
    #expect(try driver.run(.noCommand).code == .success)
    // What a halted controller has not said of its commands it does not say later.
    try driver.put(.noCommand, on: &driver.command)
    driver.configure(0x04, 2, 2)
    driver.write(Register.bells, 0)
    driver.write(Register.commandRing, 4)
    driver.write(Register.command, 4)
    driver.configure(0x04, 2, 6)
    driver.write(Register.commandRing, Driver.commands | 1, width: 8)
    try driver.memory.fill(at: GPA(Driver.commands), byteCount: 4096, with: 0)
    driver.command = XHCIRing(Driver.commands | 1)
    driver.write(Register.command, 5)
    #expect(try driver.run(.noCommand).code == .success)
  }

  @Test("save and restore: what was saved is lost, which the guest is told")
  func restoring() throws {
    let driver = try Driver()
    driver.write(Register.command, 0x100)
    #expect(driver.read(Register.status) & 0x700 == 0)
    driver.write(Register.command, 0x200)
    #expect(driver.read(Register.status) & 0x700 == 0x400)
    driver.write(Register.status, 0x400)
    #expect(driver.read(Register.status) & 0x700 == 0)
  }

  // MARK: Interrupts

  @Test("one message for events until the guest has taken them", arguments: [true, false])
  func interrupts(usesMSIX: Bool) throws {
    let driver = try Driver([.tablet], usesMSIX: usesMSIX)
    try waitUntil { try driver.hasEvent }
    func count() -> Int { usesMSIX ? driver.sink.messages.count : driver.line.edgeCount }
    try waitUntil { count() == 1 }
    #expect(driver.read(Register.status) & 8 == 8)
    #expect(driver.read(Register.interrupter) == (usesMSIX ? 2 : 3))
    // Not again before it is done with these.
    for _ in 0..<3 { try driver.put(.noCommand, on: &driver.command) }
    driver.write(Register.bells, 0)
    try waitUntil {
      try driver.memory.load(at: GPA(Driver.events + 16 * 3 + 12), as: UInt32.self) & 1 == 1
    }
    if !usesMSIX {
      driver.write(Register.interrupter, 3)
      #expect(!driver.line.isAsserted)
    }
    #expect(count() == 1)
    // Each time it is done, and some are left.
    _ = try driver.nextEvent()
    #expect(count() == 2)
    if !usesMSIX { driver.write(Register.interrupter, 3) }
    for _ in 0..<3 {
      _ = try driver.nextEvent()
      if !usesMSIX { driver.write(Register.interrupter, 3) }
    }
    #expect(count() == 4)
    #expect(!driver.line.isAsserted)
    if usesMSIX {
      #expect(
        driver.sink.messages
          == Array(repeating: MSIMessage(address: 0xFEE0_0000, data: 0x41), count: 4))
    }
    // Switched off, at one place or the other.
    for (offset, value): (UInt64, UInt64) in [(Register.interrupter, 1), (Register.command, 1)] {
      driver.write(Register.interrupter, 3)
      driver.write(offset, value)
      #expect(try driver.run(.noCommand).code == .success)
      #expect(count() == 4)
    }
    // Back on, what was pending comes.
    driver.write(Register.command, 5)
    #expect(count() == 5)
  }

  @Test("a full ring of events: the guest learns of it, and nothing is lost")
  func fullEventRing() throws {
    let driver = try Driver([.tablet])
    _ = try driver.takeConnections(1)
    for _ in 0..<32 {
      if driver.command.pointer == Driver.commands + 16 * 40 { break }
      try driver.put(.noCommand, on: &driver.command)
    }
    driver.write(Register.bells, 0)
    var counts: [XHCITransferRequest.Kind.RawValue: Int] = [:]
    for _ in 0..<32 {
      var event = try driver.nextEvent()
      while event.kind == .hostController {
        #expect(event.code == .eventRingFull)
        counts[event.kind.rawValue, default: 0] += 1
        event = try driver.nextEvent()
      }
      #expect(event.parameter == Driver.commands + 16 * UInt64(counts[33, default: 0]))
      counts[event.kind.rawValue, default: 0] += 1
    }
    #expect(counts[33] == 32)
    #expect(counts[37, default: 0] >= 1)
  }

  @Test("that its ring is full interrupts the guest, though no event before did")
  func fullRingOfSilentEvents() throws {
    let driver = try Driver()
    try driver.takeConnections()
    let slot = try driver.configure(port: 1)
    driver.write(Register.interrupter, 3)
    driver.write(Register.status, 8)
    #expect(driver.read(Register.status) & 8 == 0)
    // No operations that report, without interrupts.
    for _ in 0..<14 { try driver.put(.noTransfer, flags: 1 << 5 | 1 << 9, slot: slot, endpoint: 3) }
    driver.ringBell(slot, 3)
    try waitUntil { driver.read(Register.status) & 8 == 8 }
  }

  @Test("a ring of events in several segments")
  func segments() throws {
    let driver = try Driver([.tablet], starts: false)
    driver.write(Register.configuration, 64)
    driver.write(Register.commandRing, Driver.commands | 1, width: 8)
    for entry in 0..<3 as Range<UInt64> {
      try driver.memory.store(
        Driver.events + 0x1000 * entry, at: GPA(Driver.segmentTable + 16 * entry))
      try driver.memory.store(UInt32(16), at: GPA(Driver.segmentTable + 16 * entry + 8))
    }
    driver.write(Register.interrupter + 0x08, 3)
    driver.write(Register.interrupter + 0x18, Driver.events, width: 8)
    driver.write(Register.interrupter + 0x10, Driver.segmentTable, width: 8)
    driver.write(Register.command, 1)
    var command = XHCIRing(Driver.commands | 1)
    for round in 0..<7 as Range<UInt64> {
      for _ in 0..<16 { try driver.put(.noCommand, on: &command) }
      driver.write(Register.bells, 0)
      // The first event is a port's: each segment's last one is of the command before.
      let place = Driver.events + 0x1000 * (round % 3) + 16 * 15
      try waitUntil {
        try driver.memory.load(at: GPA(place + 12), as: UInt32.self) & 1 == (round / 3 + 1) & 1
      }
      #expect(
        try driver.memory.load(at: GPA(place), as: UInt64.self)
          == Driver.commands + 16 * (16 * round + 14))
      driver.write(Register.interrupter + 0x18, place, width: 8)
    }
  }

  // MARK: Hostile guests

  @Test("rings, contexts and tables that are no RAM end the work until a reset")
  func notRAM() throws {
    for hostile in 0..<4 {
      let driver = try Driver([.tablet])
      try driver.takeConnections(1)
      switch hostile {
      case 0:
        driver.write(Register.command, 4)
        driver.write(Register.commandRing, (0 &- 0x1000) | 1, width: 8)
        driver.write(Register.command, 5)
      case 1: try driver.put(.link, Driver.ramByteCount, on: &driver.command)
      case 2:
        #expect(try driver.run(.enableSlot).slot == 1)
        try driver.resetPort(1)
        driver.write(Register.contextArray, Driver.ramByteCount, width: 8)
        try driver.putInput(slot: 1, port: 1, added: 3)
        try driver.put(.addressDevice, Driver.input, flags: 1 << 24, on: &driver.command)
      default:
        // A table with too few blocks.
        try driver.memory.store(UInt32(15), at: GPA(Driver.segmentTable + 8))
        driver.write(Register.interrupter + 0x10, Driver.segmentTable, width: 8)
      }
      driver.write(Register.bells, 0)
      try waitUntil { driver.read(Register.status) & 5 == 5 }
      driver.write(Register.command, 5)
      #expect(driver.read(Register.status) & 1 == 1)
      driver.write(Register.command, 2)
      #expect(driver.read(Register.status) == 0x11)
      try driver.memory.fill(at: GPA(Driver.events), byteCount: 4096, with: 0)
      try driver.memory.fill(at: GPA(Driver.commands), byteCount: 4096, with: 0)
      try driver.start()
      try driver.takeConnections(1)
      #expect(try driver.run(.noCommand).code == .success)
    }
  }

  @Test("rings that lead to themselves have an end")
  func endlessRings() throws {
    let driver = try Driver([.tablet])
    try driver.takeConnections(1)
    let slot = try driver.configure(port: 1)
    // Nothing but links; then blocks that report nothing, and a link back to them.
    let start = Driver.ring(slot, 3)
    driver.endpoints[start] = XHCIRing(start | 1)
    try driver.put(.link, start, slot: slot, endpoint: 3)
    driver.ringBell(slot, 3)
    #expect(try driver.run(.noCommand).code == .success)
    #expect(try driver.run(.stopEndpoint, slot: slot, endpoint: 3).code == .success)
    driver.endpoints[start] = XHCIRing(start | 1)
    try driver.put(.noTransfer, slot: slot, endpoint: 3)
    try driver.put(.link, start, slot: slot, endpoint: 3)
    driver.ringBell(slot, 3)
    #expect(try driver.run(.noCommand).code == .success)
    try waitUntil { driver.controller.engine.isIdle }
    // Commands without end fill the ring of events, and that is that.
    try driver.memory.fill(at: GPA(Driver.commands), byteCount: 4096, with: 0)
    driver.write(Register.command, 4)
    driver.command = XHCIRing(Driver.commands | 1)
    driver.write(Register.commandRing, Driver.commands | 1, width: 8)
    try driver.put(.noCommand, on: &driver.command)
    try driver.put(.link, Driver.commands, on: &driver.command)
    driver.write(Register.command, 5)
    driver.write(Register.bells, 0)
    var kinds: Set<UInt8> = []
    while !kinds.contains(XHCITransferRequest.Kind.hostController.rawValue) {
      try waitUntil { try driver.hasEvent }
      kinds.insert(try driver.nextEvent().kind.rawValue)
    }
    driver.write(Register.command, 2)
    #expect(driver.read(Register.status) & 1 == 1)
  }

  @Test("without Bus Master nothing is read or written, and nothing is lost")
  func busMaster() throws {
    let driver = try Driver([.tablet])
    try driver.takeConnections(1)
    driver.configure(0x04, 2, 2)
    try driver.put(.noCommand, on: &driver.command)
    driver.write(Register.bells, 0)
    try waitUntil { driver.controller.engine.work.waitingCount == 0 }
    #expect(try !driver.hasEvent)
    driver.configure(0x04, 2, 6)
    #expect(try driver.nextEvent().code == .success)
  }

  @Test("what the controller writes is touched before it is there")
  func touches() throws {
    let driver = try Driver([.tablet], starts: false)
    func isTouched(_ address: UInt64) -> Bool {
      let page = PageRange(start: GPA(address).page, pageCount: 1)
      return driver.memory.tracker.snapshot().counts(in: page).touched == 1
    }
    #expect(!isTouched(Driver.events) && !isTouched(Driver.contexts(1)))
    try driver.start()
    try driver.takeConnections(1)
    #expect(isTouched(Driver.events))
    _ = try driver.configure(port: 1)
    #expect(isTouched(Driver.contexts(1)))
  }

  @Test("registers of any place, width and value, and a reset after them", arguments: [1, 2, 3])
  func randomRegisters(seed: UInt64) throws {
    let driver = try Driver()
    driver.vcpu.run { [controller = driver.controller] in
      var generator = SeededGenerator(seed: seed)
      for _ in 0..<5000 {
        let offset = generator.next() % 0x3000
        let width = 1 << Int(generator.next() % 4)
        if generator.next() % 2 == 0 {
          controller.writeBAR(
            0, offset: offset & ~3, width: width, value: generator.nextOfAnyMagnitude())
        } else {
          _ = controller.readBAR(0, offset: offset, width: width)
        }
      }
      controller.reset()
    }
    try driver.memory.fill(at: GPA(Driver.commands), byteCount: 0x6000, with: 0)
    driver.configure(0x04, 2, 6)
    try driver.start()
    try driver.takeConnections()
    #expect(try driver.run(.noCommand).code == .success)
  }

  @Test("once it has been stopped, it leaves guest memory alone")
  func stopping() throws {
    let driver = try Driver([.tablet])
    try driver.takeConnections(1)
    try driver.put(.noCommand, on: &driver.command)
    driver.controller.stop()
    driver.controller.stop()
    driver.write(Register.bells, 0)
    #expect(driver.controller.engine.work.isOver)
    #expect(try !driver.hasEvent)
  }

  @Test("a reset of the machine forgets everything; no interrupt stays")
  func machineReset() throws {
    let driver = try Driver([.tablet])
    try waitUntil { driver.line.isAsserted }
    driver.vcpu.run { [controller = driver.controller] in controller.reset() }
    #expect(!driver.line.isAsserted)
    #expect(driver.read(Register.status) == 0x11)
    #expect(driver.read(Driver.port(1)) == 0x2_0EE1)
  }
}
