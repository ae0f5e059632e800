import DeviceKit
import GuestMemory
import TestSupport
import Testing

@testable import Devices

/// An Intel network card, saved and restored.
@Suite(.timeLimit(.minutes(10))) struct E1000EStateTests {
  private typealias Driver = E1000ETestDriver
  private typealias Register = E1000ERegister

  private static func frame(_ mark: UInt8) -> [UInt8] {
    Driver.frame([UInt8](repeating: mark, count: 50))
  }

  /// Receives a frame into the next buffer of the ring, and gives that back.
  private static func receive(_ number: Int, _ driver: Driver) throws {
    driver.cable.put([frame(UInt8(number))])
    try expect(number, driver)
  }

  private static func expect(_ number: Int, _ driver: Driver) throws {
    let index = number % Driver.ringCount
    _ = try driver.received(index)
    #expect(try driver.bytes(Driver.buffer(index), 64) == frame(UInt8(number)))
    try driver.putBuffer(index)
    driver.write(Register.receiveRing + 0x18, UInt32(index))
  }

  private static func send(_ number: Int, _ driver: Driver) throws {
    let frame = frame(UInt8(number))
    try driver.memory.write(frame, at: GPA(Driver.packets))
    // *EOP* and *RS*.
    try driver.put(Driver.packets, UInt64(frame.count) | 9 << 24)
    driver.ring()
    #expect(try driver.cable.takeSent(1) == [frame])
  }

  /// Rings have wrapped; half of a packet was taken; causes are enabled and pending; what drivers
  /// store is not what it was.
  private func begin(usesMSIX: Bool) throws -> Driver {
    let driver = try Driver(usesMSIX: usesMSIX)
    driver.write(0x102C, 0x1234_0000 | 5 << 2 | 1)
    driver.write(Register.phyAccess, 1 << 26 | 1 << 21 | 20 << 16 | 0x4321)
    driver.card.writeBAR(2, offset: 0, width: 4, value: Register.addresses)
    for number in 0..<20 {
      try Self.receive(number, driver)
      try Self.send(number, driver)
    }
    let frame = Self.frame(77)
    try driver.memory.write(frame, at: GPA(Driver.packets))
    try driver.put(Driver.packets, 20 | 8 << 24)
    driver.ring()
    try waitUntil {
      driver.read(Register.transmitRing + 0x10) == driver.read(Register.transmitRing + 0x18)
    }
    driver.write(Register.maskSet, 0x0000_0084)
    try waitUntil { usesMSIX || driver.line.isAsserted }
    return driver
  }

  /// Those that reading does not clear, and that are not the time.
  private static func registers(_ card: E1000EController) -> [UInt64] {
    let others = Register.timeLow...Register.timeHigh
    return stride(from: UInt64(0), to: E1000ECore.registerByteCount, by: 4)
      .filter {
        $0 != Register.cause && !others.contains($0)
          && !(Register.statistics..<Register.statisticsEnd).contains($0)
      }
      .map { card.readBAR(0, offset: $0, width: 4) & 0xFFFF_FFFF }
      + [card.readBAR(2, offset: 0, width: 4)]
  }

  @Test("rings, causes, counters and half a packet go on", arguments: [true, false])
  func moves(usesMSIX: Bool) throws {
    let old = try begin(usesMSIX: usesMSIX)
    try old.card.pause()
    old.cable.put([Self.frame(20)])
    try waitUntil { old.cable.incomingCount == 0 }
    let new = try Driver(insteadOf: old)
    try StateHarness.move(old.card, to: new.card, registers: Self.registers) { () throws in
      #expect(new.sink.messages.isEmpty && new.line.isAsserted == !usesMSIX)
      let status = GPA(Driver.receiveRing + 16 * 4 + 8)
      #expect(try new.memory.load(at: status, as: UInt64.self) == 0)
    }
    try Self.expect(20, new)
    let frame = Self.frame(77)
    try new.put(Driver.packets + 20, UInt64(frame.count - 20) | 9 << 24)
    new.ring()
    #expect(try new.cable.takeSent(1) == [frame])
    for number in 21..<41 {
      try Self.receive(number, new)
      try Self.send(number, new)
    }
    new.write(Register.nvmRead, 5 << 2 | 1)
    #expect(new.read(Register.nvmRead) >> 16 == 0x1234)
    new.write(Register.phyAccess, 2 << 26 | 1 << 21 | 20 << 16)
    #expect(new.read(Register.phyAccess) & 0xFFFF == 0x4321)
    #expect(new.read(0x4074) == 41)
    // Counted when the frame has gone; reading clears.
    var sentCount: UInt32 = 0
    try waitUntil {
      sentCount += new.read(0x4080)
      return sentCount >= 41
    }
    #expect(sentCount == 41)
  }

  @Test("frames and a link that goes wait for the end of a pause")
  func waits() throws {
    let driver = try begin(usesMSIX: false)
    try driver.card.pause()
    let bytes = try StateHarness.save(driver.card)
    driver.cable.put([Self.frame(20)])
    try waitUntil { driver.cable.incomingCount == 0 }
    #expect(try StateHarness.save(driver.card) == bytes)
    driver.card.resume()
    try Self.expect(20, driver)
    try driver.card.pause()
    driver.cable.setLink(false)
    try waitUntil { driver.cable.isIdle }
    #expect(driver.read(Register.status) & 2 == 2)
    driver.card.resume()
    #expect(driver.read(Register.status) & 2 == 0 && driver.read(Register.cause) & 4 == 4)
  }

  @Test("a far end without a link is announced after the restore")
  func otherLink() throws {
    let old = try begin(usesMSIX: false)
    try old.card.pause()
    let bytes = try StateHarness.save(old.card)
    old.card.stop()
    old.cable.setLink(false)
    let new = try Driver(insteadOf: old)
    try StateHarness.restore(bytes, into: new.card)
    #expect(new.read(Register.status) & 2 == 2)
    try new.card.start()
    #expect(new.read(Register.status) & 2 == 0 && new.read(Register.cause) & 4 == 4)
  }

  @Test("a copy with another address: the driver goes on, and finds it when it starts anew")
  func anotherAddress() throws {
    let old = try begin(usesMSIX: false)
    try old.card.pause()
    let bytes = try StateHarness.save(old.card)
    old.card.stop()
    let new = try Driver(insteadOf: old, address: [0x52, 0x54, 0x00, 0xAB, 0xCD, 0xEF])
    try StateHarness.restore(bytes, into: new.card)
    try new.card.start()
    new.card.resume()
    try Self.receive(20, new)
    #expect(new.read(Register.addresses) == 0x1200_5452)
    var sum: UInt16 = 0
    for word in 0..<UInt32(E1000ENVM.wordCount) {
      new.write(Register.nvmRead, word << 2 | 1)
      sum &+= UInt16(new.read(Register.nvmRead) >> 16)
    }
    #expect(sum == 0xBABA)
    new.write(Register.control, 1 << 26)
    #expect(new.read(Register.addresses) == 0xAB00_5452)
    #expect(new.read(Register.addresses + 4) == 0x8000_EFCD)
  }

  @Test("damaged state is refused, or does no harm")
  func damage() throws {
    let old = try begin(usesMSIX: false)
    try old.card.pause()
    let bytes = try StateHarness.save(old.card)
    let context = PCIContext(memory: old.memory, messages: RecordingSink())
    let cable = TestCable(maximumFrameByteCount: 65_535)
    let accepted = try StateHarness.damage(bytes, mutationCount: 500) {
      E1000EController(address: Driver.address, backend: cable, context: context)
    } drive: { card, generator in
      card.makeBusMaster()
      card.engine.transmit()
      var frames = NetworkFrames(for: cable)
      frames.begin()
      // SAFETY: a byte is initialised and has no padding.
      unsafe frames.append(Self.frame(1).span.bytes)
      frames.finish()
      _ = card.engine.deliver(&frames)
      for offset in [Register.cause, Register.status, Register.timeLow, 0x4088, 0x408C] {
        _ = card.readBAR(0, offset: offset, width: 4)
      }
      _ = card.readBAR(2, offset: 4, width: 4)
      for register: UInt64 in [0x2818, 0x3818, 0x3918, 0x2810, 0x3810, 0x00D0, 0x00C8] {
        card.writeBAR(
          0, offset: register, width: 4, value: .random(in: 0...15, using: &generator))
        card.engine.transmit()
      }
      _ = card.engine.deliver(&frames)
      card.writeBAR(0, offset: Register.control, width: 4, value: UInt64(E1000EControl.reset))
    }
    #expect(accepted > 100, "too little of it is driven")
  }
}
