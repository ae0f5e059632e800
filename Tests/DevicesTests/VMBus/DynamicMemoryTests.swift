import Bytes
import GuestMemory
import HostSystem
import TestSupport
import Testing
import ZeroTracker

@testable import Devices

/// Dynamic Memory, against a driver that does as Linux' hv_balloon, or worse.
@Suite("Dynamic Memory")
struct DynamicMemoryTests {
  private static let second: Int64 = 1_000_000_000

  final class Driver {
    let balloon: Balloon
    var bench: VMBusBench

    init(
      targetPageCount: UInt32 = 0, ramByteCount: UInt64 = 16 << 20, growthByteCount: UInt64 = 0
    ) throws {
      let balloon = Balloon(targetPageCount: targetPageCount)
      self.balloon = balloon
      let growth = BareGrowth()
      bench = try VMBusBench(
        { clock in
          let device = DynamicMemory(
            balloon, growth: growth, clock: { UInt64(bitPattern: clock.nanoseconds) })
          device.attach {}
          return device
        }, ramByteCount: ramByteCount, growthByteCount: growthByteCount)
      growth.memory.withLock { [memory = bench.memory] in $0 = memory }
      try bench.open()
    }

    func send(_ kind: UInt16, _ words: [UInt64]) throws {
      var bytes = kind.littleEndianBytes + UInt16(8 + 8 * words.count).littleEndianBytes
      bytes += (77 as UInt32).littleEndianBytes + words.littleEndianBytes
      try bench.rings.send(bytes)
      bench.host.turn()
    }

    /// The host's next message: kind, and what is behind the header.
    func receive() throws -> (kind: UInt16, words: [UInt64])? {
      guard let payload = try bench.rings.receive()?.payload else { return nil }
      let byteCount = Int(payload.loadLE(at: 2, as: UInt16.self))
      return (
        payload.loadLE(at: 0), stride(from: 8, to: byteCount, by: 8).map { payload.loadLE(at: $0) }
      )
    }

    func begin(capabilities: UInt64 = 0x1F) throws {
      try send(1, [0x2_0000])
      #expect(try receive()?.words == [1])
      try send(3, [capabilities, 0, 0])
      let response = try receive()
      #expect(response?.kind == 4)
      #expect(response?.words == [1])
    }

    func wait(_ seconds: Int64) {
      bench.clock.advance(by: seconds * second)
      bench.host.turn()
    }

    /// Gives up ranges of pages.
    func give(_ ranges: [(UInt64, UInt64)], hasMore: Bool = false) throws {
      try send(
        7, [UInt64(ranges.count) << 33 | (hasMore ? 1 << 32 : 0)] + ranges.map { $0 | $1 << 40 })
    }
  }

  @Test(
    "versions",
    arguments: [(0x2_0000, 1), (0x1_0000, 1), (3, 1), (0x3_0000, 0), (0, 0)]
      as [(UInt64, UInt64)])
  func versions(version: UInt64, isAccepted: UInt64) throws {
    let driver = try Driver()
    try driver.send(1, [version])
    let response = try #require(try driver.receive())
    #expect(response.kind == 2)
    #expect(response.words == [isAccepted])
    try driver.send(3, [0x1F, 0, 0])
    #expect(try driver.receive()?.words == (isAccepted == 1 ? [1] : nil))
    #expect(driver.balloon.activity.hasDriver == (isAccepted == 1))
  }

  @Test("nothing is asked in the first 50 seconds, then as much as is wanted")
  func inflating() throws {
    let driver = try Driver(targetPageCount: 64)
    try driver.begin()
    driver.wait(49)
    #expect(try driver.receive() == nil)
    driver.wait(2)
    let request = try #require(try driver.receive())
    #expect(request.kind == 6)
    #expect(request.words == [64])
    // One request at a time.
    driver.balloon.targetPageCount = 80
    driver.wait(1)
    #expect(try driver.receive() == nil)
    let memory = driver.bench.memory
    for page in 0x400..<0x440 as Range<UInt64> {
      try memory.store(0xA5 as UInt8, at: GPA(page << 12))
    }
    try driver.give([(0x400, 32)], hasMore: true)
    #expect(try driver.receive() == nil)
    try driver.give([(0x420, 32)])
    for page in 0x400..<0x440 as Range<UInt64> {
      #expect(try memory.load(at: GPA(page << 12), as: UInt8.self) == 0)
    }
    // They are zero, and known to be.
    let snapshot = memory.tracker.snapshot()
    for page in 0x400..<0x440 as Range<UInt64> {
      #expect(snapshot.isUnwritten(GPN(rawValue: page)))
    }
    #expect(driver.balloon.activity.actualPageCount == 64)
    #expect(driver.balloon.activity.givenBackByteCount == 64 * 4096)
    // Now the rest.
    #expect(try #require(try driver.receive()).words == [16])
  }

  @Test("what it has goes back, the highest pages first")
  func deflating() throws {
    let driver = try Driver(targetPageCount: 8)
    try driver.begin()
    driver.wait(51)
    _ = try driver.receive()
    try driver.give([(0x400, 4), (0x500, 4)])
    #expect(driver.balloon.activity.actualPageCount == 8)
    driver.balloon.targetPageCount = 3
    driver.wait(0)
    let request = try #require(try driver.receive())
    #expect(request.kind == 8)
    #expect(request.words == [2 << 32, 0x500 | 4 << 40, 0x403 | 1 << 40])
    #expect(driver.balloon.activity.actualPageCount == 3)
    driver.balloon.targetPageCount = 0
    driver.wait(0)
    #expect(try driver.receive() == nil)
    try driver.send(9, [])
    #expect(try driver.receive()?.words == [1 << 32, 0x400 | 3 << 40])
    #expect(driver.balloon.activity.actualPageCount == 0)
  }

  @Test("no request is for more than Windows answers")
  func limit() throws {
    let driver = try Driver(targetPageCount: 600_000)
    try driver.begin()
    driver.wait(51)
    #expect(try driver.receive()?.words == [585_728])
  }

  @Test("a guest that gives less is asked again later; one that does not answer, too")
  func patience() throws {
    let driver = try Driver(targetPageCount: 64)
    try driver.begin()
    driver.wait(51)
    _ = try driver.receive()
    try driver.give([(0x400, 10)])
    #expect(try driver.receive() == nil)
    driver.wait(9)
    #expect(try driver.receive() == nil)
    driver.wait(2)
    #expect(try driver.receive()?.words == [54])
    driver.wait(61)
    #expect(try driver.receive() == nil)
    driver.wait(11)
    #expect(try driver.receive()?.words == [54])
    // The late answer of the first counts for what it brings.
    try driver.give([(0x500, 54)])
    #expect(driver.balloon.activity.actualPageCount == 64)
  }

  @Test("a driver that cannot is not asked")
  func noCapability() throws {
    let driver = try Driver(targetPageCount: 64)
    try driver.begin(capabilities: 0x1E)
    driver.wait(200)
    #expect(try driver.receive() == nil)
  }

  @Test("pages that are no RAM, that were given before, and more than were asked for")
  func hostileRanges() throws {
    let driver = try Driver(targetPageCount: 64)
    try driver.begin()
    driver.wait(51)
    let memory = driver.bench.memory
    try memory.store(0xA5 as UInt8, at: GPA(0x40F << 12))
    try driver.give([
      (0xFFF, 2), (0x1000, 1), (1 << 40 - 1, 1 << 24 - 1), (0x410, 0), (0x400, 4), (0x402, 4),
      (0x400, 6), (0, 0xFF_FFFF),
    ])
    let activity = driver.balloon.activity
    #expect(activity.actualPageCount == 6)
    #expect(activity.givenBackByteCount == 6 * 4096)
    #expect(try memory.load(at: GPA(0x40F << 12), as: UInt8.self) == 0xA5)
    // A count beyond what is there.
    try driver.send(7, [UInt64(0x7FFF_FFFF) << 33, 0x500 | 1 << 40])
    #expect(driver.balloon.activity.actualPageCount == 7)
  }

  @Test("pressure: what the guest says is available")
  func pressure() throws {
    let driver = try Driver()
    try driver.send(5, [1000, 2000, 0, 0, 0])
    #expect(driver.balloon.activity.statistics == nil)
    try driver.begin()
    try driver.send(5, [1000, 2000, 0, 0, 0])
    #expect(driver.balloon.activity.statistics?[.available] == 4_096_000)
    try driver.send(5, [.max, 2000, 0, 0, 0])
    #expect(driver.balloon.activity.statistics?[.available] == 4_096_000)
  }

  @Test("a driver that goes takes what it gave")
  func closing() throws {
    let driver = try Driver(targetPageCount: 8)
    try driver.begin()
    driver.wait(51)
    _ = try driver.receive()
    try driver.give([(0x400, 8)])
    driver.bench.post(guestMessage(.close, 1))
    driver.wait(1)
    #expect(driver.balloon.activity.actualPageCount == 0)
    #expect(!driver.balloon.activity.hasDriver)
    #expect(driver.balloon.targetPageCount == 8)
  }

  @Test("messages that are none")
  func noMessages() throws {
    let driver = try Driver(targetPageCount: 8)
    for bytes in [[], [1], [1, 0, 16, 0, 0, 0, 0, 0], [1, 0, 7, 0, 0, 0, 0, 0]] as [[UInt8]] {
      try driver.bench.rings.send(bytes)
    }
    driver.wait(1)
    #expect(try driver.receive() == nil)
    #expect(driver.bench.port.takeMessages() == [])
  }

  @Test("the set of held pages, against a set of numbers")
  func heldPages() {
    var generator = SeededGenerator(seed: 0x5EED_0003)
    for _ in 0..<50 {
      var held = HeldPages()
      var model: Set<UInt64> = []
      for _ in 0..<40 {
        if Bool.random(using: &generator) {
          let start = UInt64.random(in: 0...300, using: &generator)
          let range = start..<(start + UInt64.random(in: 0...70, using: &generator))
          let added = held.insert(range).flatMap { Array($0) }
          #expect(added == range.filter { !model.contains($0) })
          model.formUnion(range)
        } else {
          let count = UInt64.random(in: 0...100, using: &generator)
          let ranges = held.take(count, rangeCount: 3, rangePageCount: 20)
          #expect(ranges.count <= 3)
          #expect(ranges.allSatisfy { !$0.isEmpty && $0.count <= 20 })
          let taken = ranges.flatMap { Array($0) }
          #expect(taken.count <= Int(count))
          #expect(Set(taken).count == taken.count)
          #expect(Set(taken).isSubset(of: model))
          if ranges.count < 3 { #expect(taken.count == min(Int(count), model.count)) }
          model.subtract(taken)
        }
        #expect(held.pageCount == UInt64(model.count))
      }
    }
  }
}
