import DeviceKit
import GuestMemory
import HostSystem
import Testing
import ZeroTracker

@testable import Devices

/// Memory that Dynamic Memory adds, against a driver that takes it, or does not.
@Suite("Hot add")
struct HotAddTests {
  private typealias Driver = DynamicMemoryTests.Driver
  private static let unit = GuestMemoryLayout.growthUnit
  private static let unitPageCount = unit / 4096
  private static let start: UInt64 = 0x10_0000

  private static func size(_ byteCount: UInt64, growing units: UInt64 = 4) -> MemorySize {
    MemorySize(
      byteCount: byteCount, startByteCount: 16 << 20, growthByteCount: units * unit,
      growthStepByteCount: unit)
  }

  private func driver(growing units: UInt64 = 4) throws -> Driver {
    try Driver(growthByteCount: units * Self.unit)
  }

  /// One that is to have as many units more, when the time has come at which it is asked.
  private func driver(toBeGiven units: UInt64) throws -> Driver {
    let driver = try driver()
    try driver.begin()
    driver.balloon.setSize(Self.size(16 << 20 + units * Self.unit))
    driver.wait(51)
    return driver
  }

  /// What the host asks for: the range, which is the region too.
  private func requested(_ driver: Driver) throws -> Range<UInt64>? {
    guard let (kind, words) = try driver.receive() else { return nil }
    #expect(kind == 10)
    #expect(words.count == 2 && words[0] == words[1])
    let start = words[0] & (1 << 40 - 1)
    return start..<start + words[0] >> 40
  }

  /// *page_count* and *result*.
  private func take(_ driver: Driver, _ count: UInt64, result: UInt64 = 1) throws {
    try driver.send(11, [count | result << 32])
  }

  @Test("nothing in the first 50 seconds, then what is wanted, which is zero and no RAM before")
  func adding() throws {
    let driver = try driver()
    let memory = driver.bench.memory
    try driver.begin()
    driver.balloon.setSize(Self.size(16 << 20 + 2 * Self.unit))
    driver.wait(49)
    #expect(try driver.receive() == nil)
    #expect(memory.addedByteCount == 0)
    driver.wait(2)
    #expect(try requested(driver) == Self.start..<Self.start + 2 * Self.unitPageCount)
    #expect(memory.addedByteCount == 2 * Self.unit)
    // One request at a time.
    driver.balloon.setSize(Self.size(16 << 20 + 3 * Self.unit))
    driver.wait(1)
    #expect(try driver.receive() == nil)
    #expect(driver.balloon.activity.addedPageCount == 0)
    try take(driver, 2 * Self.unitPageCount)
    #expect(UInt64(driver.balloon.activity.addedPageCount) == 2 * Self.unitPageCount)
    let next = Self.start + 2 * Self.unitPageCount
    #expect(try requested(driver) == next..<next + Self.unitPageCount)
    try take(driver, Self.unitPageCount)
    driver.wait(1000)
    #expect(try driver.receive() == nil)
    #expect(memory.addedByteCount == 3 * Self.unit)
  }

  @Test("the balloon is emptied first; what is more than wanted goes into it")
  func order() throws {
    let driver = try driver()
    try driver.begin()
    driver.balloon.setSize(Self.size(12 << 20))
    driver.wait(51)
    #expect(try #require(try driver.receive()).words == [1024])
    try driver.give([(0x400, 1024)])
    // 1 MiB more than it started with: a step, of which all but that is not wanted.
    driver.balloon.setSize(Self.size(17 << 20))
    driver.wait(0)
    let back = try #require(try driver.receive())
    #expect(back.kind == 8 && back.words == [1 << 32, 0x400 | 1024 << 40])
    driver.wait(1)
    #expect(try driver.receive() == nil)
    try driver.send(9, [])
    #expect(try requested(driver) == Self.start..<Self.start + Self.unitPageCount)
    try take(driver, Self.unitPageCount)
    #expect(try #require(try driver.receive()).words == [127 << 8])
    // Pages of what was added come back like all others.
    try driver.give([(Self.start + 0x100, 127 << 8)])
    #expect(driver.balloon.activity.actualPageCount == 127 << 8)
    // Smaller than it started with: all that was added counts.
    driver.balloon.setSize(Self.size(15 << 20))
    #expect(driver.balloon.activity.targetPageCount == 129 << 8)
  }

  @Test("a driver that takes less is asked for the rest, later and later")
  func less() throws {
    let driver = try driver(toBeGiven: 1)
    _ = try driver.receive()
    try take(driver, 0x4000)
    let rest = Self.start + 0x4000..<Self.start + Self.unitPageCount
    // It is no multiple of what the driver takes: left alone.
    driver.wait(700)
    #expect(try driver.receive() == nil)
    #expect(driver.balloon.activity.addedPageCount == 0x4000)
    // One that takes any.
    driver.bench.post(guestMessage(.close, 1))
    driver.wait(0)
    _ = try driver.bench.open()
    try driver.begin(capabilities: 3)
    driver.wait(51)
    #expect(try requested(driver) == rest)
    for pause in [10, 20, 40, 80, 160, 320, 640, 640] as [Int64] {
      try take(driver, 0, result: 0)
      driver.wait(pause - 1)
      #expect(try driver.receive() == nil)
      driver.wait(2)
      #expect(try requested(driver) == rest)
    }
    // None, and that is final.
    try take(driver, 0, result: 1)
    driver.wait(10_000)
    #expect(try driver.receive() == nil)
    #expect(driver.bench.memory.addedByteCount == Self.unit)
  }

  @Test("a driver that does not answer is not asked for memory again, and the balloon goes on")
  func silence() throws {
    let driver = try driver(toBeGiven: 1)
    #expect(try requested(driver) != nil)
    driver.wait(1000)
    #expect(try driver.receive() == nil)
    driver.balloon.setSize(Self.size(8 << 20))
    driver.wait(11)
    #expect(try #require(try driver.receive()).words == [2048])
    try driver.give([(0x400, 2048)])
    // The late answer counts; what it has goes into the balloon then.
    try take(driver, Self.unitPageCount)
    #expect(UInt64(driver.balloon.activity.addedPageCount) == Self.unitPageCount)
    driver.wait(11)
    #expect(try #require(try driver.receive()).words == [Self.unitPageCount])
    #expect(driver.bench.memory.addedByteCount == Self.unit)
  }

  @Test("what a driver may have taken is not given to the next as zero")
  func nextDriver() throws {
    let driver = try driver(toBeGiven: 2)
    #expect(try requested(driver) != nil)
    driver.bench.post(guestMessage(.close, 1))
    driver.wait(0)
    #expect(UInt64(driver.balloon.activity.addedPageCount) == 2 * Self.unitPageCount)
    _ = try driver.bench.open()
    try driver.begin()
    driver.balloon.setSize(Self.size(16 << 20 + 3 * Self.unit))
    driver.wait(51)
    let next = Self.start + 2 * Self.unitPageCount
    #expect(try requested(driver) == next..<next + Self.unitPageCount)
  }

  @Test("answers that are none: nothing was asked, twice, more than was asked for, cut off")
  func hostileAnswers() throws {
    let driver = try driver()
    try take(driver, Self.unitPageCount)
    try driver.begin()
    try take(driver, Self.unitPageCount)
    #expect(driver.balloon.activity.addedPageCount == 0)
    driver.balloon.setSize(Self.size(16 << 20 + Self.unit))
    driver.wait(51)
    #expect(try requested(driver) != nil)
    try driver.send(11, [])
    #expect(driver.balloon.activity.addedPageCount == 0)
    try take(driver, 0xFFFF_FFFF, result: 0xFFFF_FFFF)
    try take(driver, Self.unitPageCount)
    #expect(UInt64(driver.balloon.activity.addedPageCount) == Self.unitPageCount)
    driver.wait(1000)
    #expect(try driver.receive() == nil)
  }

  @Test(
    "drivers that take none: not at all, or at multiples of 32 GiB",
    arguments: [1, 0x3F] as [UInt64])
  func noCapability(capabilities: UInt64) throws {
    let driver = try driver()
    try driver.begin(capabilities: capabilities)
    driver.balloon.setSize(Self.size(16 << 20 + Self.unit))
    driver.wait(1000)
    #expect(try driver.receive() == nil)
    #expect(driver.balloon.activity.addedPageCount == 0)
  }

  @Test("no request is for more than 2 GiB, and no more is added than may be")
  func limits() throws {
    let driver = try driver(growing: 20)
    try driver.begin()
    driver.balloon.setSize(Self.size(1 << 40, growing: 20))
    driver.wait(51)
    #expect(try requested(driver) == Self.start..<Self.start + 524_288)
    try take(driver, 524_288)
    let second = Self.start + 524_288
    #expect(try requested(driver) == second..<second + 4 * Self.unitPageCount)
    try take(driver, 4 * Self.unitPageCount)
    driver.wait(1000)
    #expect(try driver.receive() == nil)
    #expect(driver.bench.memory.addedByteCount == 20 * Self.unit)
    // To give a target itself leaves the size open.
    driver.balloon.targetPageCount = 0
    #expect(driver.balloon.activity.addedTargetPageCount == 0)
  }

  /// Steps of 4 GiB: a piece is asked for in parts.
  @Test("large steps")
  func largeSteps() throws {
    final class Growth: GuestMemoryGrowth {
      let left = Guarded<UInt64>(8 << 30)
      let stepByteCount: UInt64 = 4 << 30
      var leftByteCount: UInt64 { left.withLock { $0 } }
      var addedPages: Range<UInt64> { 0x10_0000..<0x10_0000 + (8 << 30 - leftByteCount) / 4096 }
      func grow(by byteCount: UInt64) -> Range<UInt64>? {
        left.withLock { left in
          let first = 0x10_0000 + (8 << 30 - left) / 4096
          left -= byteCount
          return first..<first + byteCount / 4096
        }
      }
    }
    let growth = Growth()
    var hotAdd = HotAdd()
    hotAdd.begin(capabilities: 0x1F)
    var ranges: [Range<UInt64>] = []
    while let range = hotAdd.next(target: 5 << 18, growth) {
      ranges.append(range)
      #expect(hotAdd.answered(UInt64(range.count), isFinal: false) == 0)
    }
    #expect(
      ranges.map(\.count) == [524_288, 524_288, 524_288, 524_288].prefix(ranges.count).map { $0 })
    #expect(hotAdd.addedPageCount == 3 << 19)
    #expect(growth.leftByteCount == 0)
    let rest = hotAdd.next(target: 1 << 21, growth)
    #expect(rest?.count == 524_288)
    #expect(hotAdd.answered(524_288, isFinal: false) == 0)
    let none = hotAdd.next(target: .max, growth)
    #expect(none == nil)
    // Nothing is left to ask for, and that is the same nothing where it is restored.
    let saved = try state(of: &hotAdd, growth)
    var restored = HotAdd()
    var transfer = StateTransfer(restoring: saved)
    try restored.transfer(&transfer, added: growth.addedPages)
    #expect(try state(of: &restored, growth) == saved)
  }
}

private func state(of hotAdd: inout HotAdd, _ growth: any GuestMemoryGrowth) throws -> [UInt8] {
  var transfer = StateTransfer()
  try hotAdd.transfer(&transfer, added: growth.addedPages)
  return transfer.bytes
}

/// Memory that grows without a machine.
final class BareGrowth: GuestMemoryGrowth {
  let memory = Guarded<GuestMemory?>(nil)

  var stepByteCount: UInt64 { memory.withLock { $0?.layout.growthStep } ?? 0 }

  var leftByteCount: UInt64 {
    memory.withLock { memory in
      memory.map { ($0.layout.growth?.byteCount ?? 0) - $0.addedByteCount }
    } ?? 0
  }

  var addedPages: Range<UInt64> { memory.withLock { $0?.addedPages ?? 0..<0 } }

  func grow(by byteCount: UInt64) -> Range<UInt64>? {
    memory.withLock { memory in
      memory?.grow(by: byteCount) { _ in }.map { piece in
        let first = piece.start.page.rawValue
        return first..<first + piece.byteCount / 4096
      }
    }
  }
}
