import GuestMemory
import TestSupport
import Testing

@testable import Devices

/// Virtqueues without a device: requests, answers, events, for both kinds of ring (virtio 1.2 §2.7
/// and §2.8).
struct VirtqueueTests {
  private let memory: GuestMemory

  init() throws {
    memory = try GuestMemory(layout: GuestMemoryLayout(ramByteCount: 4 << 20))
  }

  @Test(arguments: [false, true], [false, true])
  func aRequestIsTakenWithAllItsBuffers(isPacked: Bool, indirect: Bool) throws {
    var ring = try TestRing(memory, size: 8, isPacked: isPacked)
    var queue = try ring.queue()
    var chain = VirtioChain()
    #expect(try !queue.take(&chain, memory))
    try memory.write([1, 2, 3, 4, 5, 6, 7], at: GPA(0x20_0000))
    let identifier = try ring.offer(
      [
        .init(address: 0x20_0000, byteCount: 3), .init(address: 0x20_0003, byteCount: 4),
        .init(address: 0x20_1000, byteCount: 2, isWritten: true),
        .init(address: 0x20_2000, byteCount: 5, isWritten: true),
      ], indirect: indirect)
    #expect(try queue.take(&chain, memory))
    #expect(chain.readableByteCount == 7)
    #expect(chain.writableByteCount == 7)
    var bytes: [UInt8] = [9]
    try chain.read(from: 2, into: &bytes, memory)
    #expect(bytes == [9, 3, 4, 5, 6, 7])
    #expect(unsafe chain.write(([11, 12, 13, 14] as [UInt8]).span.bytes, at: 1, memory) == 4)
    #expect(try memory.read(at: GPA(0x20_1000), byteCount: 3) == [0, 11, 0])
    #expect(try memory.read(at: GPA(0x20_2000), byteCount: 4) == [12, 13, 14, 0])
    // More than there is room for.
    #expect(unsafe chain.write([UInt8](repeating: 1, count: 9).span.bytes, memory) == 7)

    try queue.put(chain, byteCount: 6, memory)
    #expect(try ring.answers() == [])
    #expect(try queue.publish(memory))
    #expect(try ring.answers() == [.init(identifier: identifier, byteCount: 6)])
    #expect(try !queue.publish(memory), "nothing new")
    #expect(try !queue.take(&chain, memory))
  }

  /// Rings of every size go round many times, with requests of every length.
  @Test(arguments: [false, true])
  func ringsGoRound(isPacked: Bool) throws {
    var random = SeededGenerator(seed: 0x51)
    for size in isPacked ? [1, 2, 3, 7, 8, 64] : [1, 2, 8, 64] as [UInt16] {
      var ring = try TestRing(memory, size: size, isPacked: isPacked)
      var queue = try ring.queue(eventIndex: true)
      var chain = VirtioChain()
      for round in 0..<300 {
        var left = Int(size)
        var expected: [TestRing.Answer] = []
        var counts: [Int] = []
        while left > 0, counts.count < 5 {
          let count = Int.random(in: 1...min(left, 4), using: &random)
          let identifier = try ring.offer(
            (0..<count).map {
              .init(
                address: 0x20_0000 + UInt64($0) << 8, byteCount: UInt32(round) + 1, isWritten: true)
            })
          expected.append(.init(identifier: identifier, byteCount: UInt32(counts.count)))
          counts.append(count)
          left -= count
        }
        for (number, count) in counts.enumerated() {
          #expect(try queue.take(&chain, memory))
          #expect(chain.writableByteCount == count * (round + 1))
          try queue.put(chain, byteCount: number, memory)
        }
        #expect(try !queue.take(&chain, memory))
        _ = try queue.publish(memory)
        #expect(try ring.answers() == expected, "\(size) entries, round \(round), seed 0x51")
      }
    }
  }

  /// All answers of a batch become visible with the first one.
  @Test(arguments: [false, true])
  func answersAreShownTogether(isPacked: Bool) throws {
    var ring = try TestRing(memory, size: 4, isPacked: isPacked)
    var queue = try ring.queue()
    var chain = VirtioChain()
    for _ in 0..<3 {
      try ring.offer([.init(address: 0x20_0000, byteCount: 1, isWritten: true)])
    }
    for _ in 0..<3 {
      #expect(try queue.take(&chain, memory))
      try queue.put(chain, byteCount: 1, memory)
      #expect(try ring.answers() == [])
    }
    _ = try queue.publish(memory)
    #expect(try ring.answers().count == 3)
  }

  /// Interrupts come when an answer passes the driver's place, once, in every lap.
  @Test(arguments: [false, true])
  func eventIndexSaysWhenToInterrupt(isPacked: Bool) throws {
    var ring = try TestRing(memory, size: 8, isPacked: isPacked)
    var queue = try ring.queue(eventIndex: true)
    var chain = VirtioChain()
    for round in 0..<40 {
      // At the third of five answers.
      try ring.askForInterrupt(after: 2)
      var interrupts: [Bool] = []
      for _ in 0..<5 {
        try ring.offer([.init(address: 0x20_0000, byteCount: 1, isWritten: true)])
        #expect(try queue.take(&chain, memory))
        try queue.put(chain, byteCount: 1, memory)
        interrupts.append(try queue.publish(memory))
      }
      #expect(interrupts == [false, false, true, false, false], "round \(round)")
      #expect(try ring.answers().count == 5)
      // A batch that passes it.
      try ring.askForInterrupt(after: 1)
      for _ in 0..<3 {
        try ring.offer([.init(address: 0x20_0000, byteCount: 1, isWritten: true)])
        #expect(try queue.take(&chain, memory))
        try queue.put(chain, byteCount: 1, memory)
      }
      #expect(try queue.publish(memory), "round \(round)")
      // One that does not reach it.
      _ = try ring.answers()
      try ring.askForInterrupt(after: 3)
      for _ in 0..<3 {
        try ring.offer([.init(address: 0x20_0000, byteCount: 1, isWritten: true)])
        #expect(try queue.take(&chain, memory))
        try queue.put(chain, byteCount: 1, memory)
      }
      #expect(try !queue.publish(memory), "round \(round)")
      _ = try ring.answers()
    }
  }

  @Test(arguments: [false, true])
  func withoutEventIndexFlagsSayWhenToInterrupt(isPacked: Bool) throws {
    var ring = try TestRing(memory, size: 8, isPacked: isPacked)
    var queue = try ring.queue()
    var chain = VirtioChain()
    func answer() throws -> Bool {
      try ring.offer([.init(address: 0x20_0000, byteCount: 1, isWritten: true)])
      #expect(try queue.take(&chain, memory))
      try queue.put(chain, byteCount: 1, memory)
      return try queue.publish(memory)
    }
    #expect(try answer())
    try ring.askForNoInterrupt()
    #expect(try !answer())
  }

  /// A driver that looks at what the device asked for never leaves a request behind.
  @Test(arguments: [false, true], [false, true])
  func armAsksForTheNextRequest(isPacked: Bool, eventIndex: Bool) throws {
    var ring = try TestRing(memory, size: 4, isPacked: isPacked)
    var queue = try ring.queue(eventIndex: eventIndex)
    var chain = VirtioChain()
    for _ in 0..<20 {
      #expect(try !queue.arm(memory))
      try ring.offer([.init(address: 0x20_0000, byteCount: 1)])
      #expect(try ring.mustNotify(eventIndex: eventIndex))
      try queue.disarm(memory)
      try ring.offer([.init(address: 0x20_0000, byteCount: 1)])
      #expect(try !ring.mustNotify(eventIndex: eventIndex))
      #expect(try queue.take(&chain, memory))
      try queue.put(chain, byteCount: 0, memory)
      // The second came before it was asked for.
      #expect(try queue.arm(memory))
      #expect(try queue.take(&chain, memory))
      try queue.put(chain, byteCount: 0, memory)
      _ = try queue.publish(memory)
      _ = try ring.answers()
    }
  }

  // MARK: Hostile drivers

  @Test(arguments: [false, true])
  func layoutsThatCannotBe(isPacked: Bool) throws {
    let ring = try TestRing(memory, size: 8, isPacked: isPacked)
    let good = ring.layout()
    func fault(_ change: (inout VirtqueueLayout) -> Void) -> VirtqueueFault? {
      var layout = good
      change(&layout)
      do throws(VirtqueueFault) {
        _ = try Virtqueue(layout, isPacked: isPacked, memory)
        return nil
      } catch {
        return error
      }
    }
    #expect(fault { _ in } == nil)
    #expect(fault { $0.size = 0 } == .layout)
    #expect(fault { $0.size = 6 } == (isPacked ? nil : .layout))
    #expect(fault { $0.size = 0x8001 } == .layout)
    #expect(fault { $0.descriptors = GPA(0x10_0008) } == .layout)
    #expect(fault { $0.driver = GPA(0x10_0001) } == .layout)
    #expect(fault { $0.device = GPA(0x10_0002) } == .layout)
    #expect(fault { $0.descriptors = GPA(0x3F_FFC0) } == .notRAM)
    #expect(fault { $0.driver = GPA(.max - 3) } == .notRAM)
    #expect(fault { $0.device = GPA(0xFEE0_0000) } == .notRAM)
  }

  private func fault(_ queue: inout Virtqueue) -> VirtqueueFault? {
    var chain = VirtioChain()
    do throws(VirtqueueFault) {
      _ = try queue.take(&chain, memory)
      return nil
    } catch {
      return error
    }
  }

  @Test(arguments: [false, true], [false, true])
  func buffersThatCannotBe(isPacked: Bool, indirect: Bool) throws {
    for (buffers, expected): ([TestRing.Buffer], VirtqueueFault) in [
      ([.init(address: 0x40_0000, byteCount: 1)], .notRAM),
      ([.init(address: 0x3F_FFFF, byteCount: 2)], .notRAM),
      ([.init(address: .max, byteCount: 2, isWritten: true)], .notRAM),
      ([.init(address: 0, byteCount: .max, isWritten: true)], .notRAM),
      (
        [.init(address: 0, byteCount: 1, isWritten: true), .init(address: 0, byteCount: 1)],
        .badOrder
      ),
    ] {
      var ring = try TestRing(memory, size: 8, isPacked: isPacked)
      var queue = try ring.queue()
      try ring.offer(buffers, indirect: indirect)
      #expect(fault(&queue) == expected, "\(buffers)")
    }
  }

  @Test(arguments: [false, true])
  func tablesThatCannotBe(isPacked: Bool) throws {
    for (entries, expected): ([(UInt64, UInt32, UInt16)], VirtqueueFault) in [
      ([(0x20_0000, 0, 4)], .badTable),
      ([(0x20_0000, 17, 4)], .badTable),
      ([(0x40_0000, 16, 4)], .notRAM),
      ([(0x20_0000, 16, 4), (0x20_0000, 16, 0)], .badTable),
      // The entry at 0x20_0000 is a table itself.
      ([(0x20_0000, 16, 4)], .badTable),
    ] {
      var ring = try TestRing(memory, size: 8, isPacked: isPacked)
      try ring.setDescriptor(0, of: 0x20_0000, 0x20_0000, 16, flags: 4)
      var queue = try ring.queue()
      try ring.offerEntries(entries)
      #expect(fault(&queue) == expected, "\(entries)")
    }
    var ring = try TestRing(memory, size: 8, isPacked: isPacked)
    var queue = try ring.queue(indirect: false)
    try ring.offer([.init(address: 0, byteCount: 1)], indirect: true)
    #expect(fault(&queue) == .badTable, "without the feature")
  }

  /// A loop ends after as many descriptors as the ring has, also of buffers without bytes.
  @Test(arguments: [0, 1] as [UInt32])
  func loopsOfSplitRings(byteCount: UInt32) throws {
    var ring = try TestRing(memory, size: 8, isPacked: false)
    var queue = try ring.queue()
    try ring.setDescriptor(0, of: ring.descriptors, 0, byteCount, flags: 1, link: 1)
    try ring.setDescriptor(1, of: ring.descriptors, 0, byteCount, flags: 1, link: 0)
    try ring.announce(0)
    #expect(fault(&queue) == .tooLong)
    // In a table of 4 GiB, of which entry 0 follows itself.
    ring = try TestRing(memory, size: 8, isPacked: false)
    queue = try ring.queue()
    try ring.setDescriptor(0, of: 0x20_0000, 0, byteCount, flags: 1, link: 0)
    try ring.offerEntries([(0x20_0000, 0xFFFF_FFF0, 4)])
    #expect(fault(&queue) == .tooLong)
  }

  @Test func chainsOfPackedRingsThatNeverEnd() throws {
    let ring = try TestRing(memory, size: 8, isPacked: true)
    var queue = try ring.queue()
    for index in 0..<8 as Range<UInt16> {
      try ring.setDescriptor(index, of: ring.descriptors, 0, 0, flags: 0x81)
    }
    #expect(fault(&queue) == .tooLong)
    var long = try TestRing(memory, size: 8, isPacked: true)
    queue = try long.queue()
    try long.offerEntries([(0x20_0000, 16 * 9, 4)])
    #expect(fault(&queue) == .tooLong)
  }

  @Test func indicesOfSplitRingsThatCannotBe() throws {
    var ring = try TestRing(memory, size: 8, isPacked: false)
    var queue = try ring.queue()
    try memory.store(UInt16(9), at: GPA(ring.driver + 2))
    #expect(fault(&queue) == .overrun)
    ring = try TestRing(memory, size: 8, isPacked: false)
    queue = try ring.queue()
    try ring.announce(8)
    #expect(fault(&queue) == .badIndex)
    ring = try TestRing(memory, size: 8, isPacked: false)
    queue = try ring.queue()
    try ring.setDescriptor(0, of: ring.descriptors, 0, 1, flags: 1, link: 8)
    try ring.announce(0)
    #expect(fault(&queue) == .badIndex)
  }
}
