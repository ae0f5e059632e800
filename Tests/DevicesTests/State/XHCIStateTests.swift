import DeviceKit
import GuestMemory
import HostSystem
import TestSupport
import Testing

@testable import Devices

/// A USB controller with a tablet and a keyboard, saved and restored.
@Suite(.timeLimit(.minutes(10))) struct XHCIStateTests {
  private typealias Driver = USBTestDriver
  private typealias Register = XHCICore.Register

  private struct Busy {
    let driver: USBTestDriver
    let tablet: Int
    let keyboard: Int
  }

  private static func move(_ controller: XHCIController, _ x: Int) -> Bool {
    controller.engine.inputs.take(
      .pointer(PointerState(x: x, y: 0, width: 32_768, height: 32_768, buttons: [])))
  }

  private static func press(_ controller: XHCIController, _ usage: UInt8) -> Bool {
    controller.engine.inputs.take(.key(KeyboardKey(rawValue: usage), isDown: true))
  }

  /// Rings that have wrapped; a report that is waited for, and some that nobody waits for; a
  /// control transfer before its data; an event that was not taken.
  private func begin(usesMSIX: Bool) throws -> Busy {
    let driver = try Driver(usesMSIX: usesMSIX)
    try driver.takeConnections()
    let busy = Busy(
      driver: driver, tablet: try driver.configure(port: 1),
      keyboard: try driver.configure(port: 2))
    // Into a lap in which the cycle bit is not what it was at first.
    var step = 0
    while step < 20 || driver.eventCycle || driver.eventIndex > 8 {
      step += 1
      try driver.awaitReport(busy.tablet)
      #expect(Self.move(driver.controller, 100 * step))
      #expect(try driver.takeReport(busy.tablet).count == 6)
    }
    #expect(try driver.request(busy.keyboard, 0x2109, value: 0x200, data: [2]).code == .success)
    try driver.awaitReport(busy.keyboard)
    for usage in 4..<7 as Range<UInt8> { #expect(Self.press(driver.controller, usage)) }
    #expect(try driver.takeReport(busy.keyboard) == [0, 0, 4, 0, 0, 0, 0, 0])
    try driver.awaitReport(busy.tablet)
    try driver.put(
      .setupStage, 0x0012_0000_0100_0680, status: 8, flags: 1 << 6 | 3 << 16, slot: busy.tablet,
      endpoint: 1)
    driver.ringBell(busy.tablet, 1)
    try driver.put(.noCommand, on: &driver.command)
    driver.write(Register.bells, 0)
    try waitUntil { try driver.hasEvent && driver.controller.engine.isIdle }
    return busy
  }

  /// Those without the time.
  private static func registers(_ controller: XHCIController) -> [UInt64] {
    [0..<0x80, 0x440..<0x480, 0x1020..<0x1040].flatMap { (range: Range<UInt64>) in
      stride(from: range.lowerBound, to: range.upperBound, by: 4).map {
        controller.readBAR(0, offset: $0, width: 4) & 0xFFFF_FFFF
      }
    }
  }

  @Test("rings, transfers, events and what viewers did go on", arguments: [true, false])
  func moves(usesMSIX: Bool) throws {
    let busy = try begin(usesMSIX: usesMSIX)
    let old = busy.driver
    try old.controller.pause()
    // A viewer does not know of it.
    #expect(Self.move(old.controller, 20_000))
    let new = Driver(insteadOf: old)
    try StateHarness.move(old.controller, to: new.controller, registers: Self.registers) {
      #expect(new.sink.messages.isEmpty && new.line.isAsserted == !usesMSIX)
    }
    #expect(try new.nextEvent().kind == .commandCompletion)
    let report = try new.takeReport(busy.tablet)
    #expect(report.count == 6 && Int(report[1]) | Int(report[2]) << 8 == 20_000)
    if usesMSIX { try waitUntil { !new.sink.messages.isEmpty } }
    // The data of the control transfer, which the device had given before.
    try new.put(
      .dataStage, Driver.data, status: 18, flags: 1 << 16, slot: busy.tablet, endpoint: 1)
    try new.put(.statusStage, flags: 1 << 5, slot: busy.tablet, endpoint: 1)
    new.ringBell(busy.tablet, 1)
    #expect(try new.nextEvent().code == .success)
    #expect(try new.memory.read(at: GPA(Driver.data), byteCount: 2) == [18, 1])
    // Keys that were pressed before.
    for keys: [UInt8] in [[4, 5, 0], [4, 5, 6]] {
      try new.awaitReport(busy.keyboard)
      #expect(try new.takeReport(busy.keyboard) == [0, 0] + keys + [0, 0, 0])
    }
    #expect(new.controller.engine.inputs.lights == KeyboardLights(rawValue: 2))
    for step in 1..<20 {
      try new.awaitReport(busy.tablet)
      #expect(Self.move(new.controller, 100 * step))
      #expect(try new.takeReport(busy.tablet).count == 6)
    }
    #expect(try new.run(.noCommand).code == .success)
  }

  @Test("what is plugged in must be the same")
  func otherDevices() throws {
    let old = try Driver(starts: false)
    try old.controller.pause()
    let bytes = try StateHarness.save(old.controller)
    let new = Driver(insteadOf: old, [.keyboard, .tablet])
    #expect(throws: StateError.self) { try StateHarness.restore(bytes, into: new.controller) }
  }

  @Test("damaged state is refused, or does no harm")
  func damage() throws {
    let busy = try begin(usesMSIX: false)
    try busy.driver.controller.pause()
    let bytes = try StateHarness.save(busy.driver.controller)
    let context = PCIContext(memory: busy.driver.memory, messages: RecordingSink())
    let accepted = try StateHarness.damage(bytes) {
      XHCIController([.tablet, .keyboard], context: context)
    } drive: { controller, generator in
      controller.makeBusMaster()
      controller.engine.work.add(0)
      controller.engine.serveIfWaiting()
      _ = Self.registers(controller)
      _ = Self.move(controller, .random(in: 0...32_767, using: &generator))
      _ = Self.press(controller, .random(in: 0...255, using: &generator))
      controller.engine.serveIfWaiting()
      for slot in 0...3 as ClosedRange<UInt64> {
        for endpoint: UInt64 in slot == 0 ? [0] : [1, 3] {
          controller.writeBAR(
            0, offset: Register.bells + 4 * slot, width: 4, value: endpoint)
          controller.engine.serveIfWaiting()
        }
      }
      // Bells of before are answered until the ring of events is full.
      for value in [Driver.events | 8, 0] {
        controller.writeBAR(0, offset: Register.interrupter + 0x18, width: 8, value: value)
        controller.engine.serveIfWaiting()
      }
      for port in 1...4 {
        controller.writeBAR(0, offset: Driver.port(port), width: 4, value: 0x0FE0_0210)
        controller.engine.serveIfWaiting()
      }
      for value: UInt64 in [0, 5, 2] {
        controller.writeBAR(0, offset: Register.command, width: 4, value: value)
        controller.engine.serveIfWaiting()
      }
    }
    #expect(accepted > 100, "too little of it is driven")
  }
}
