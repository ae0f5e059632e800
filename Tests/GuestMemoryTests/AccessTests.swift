import GuestMemory
import Testing
import ZeroTracker

@Suite struct AccessTests {
  static let backings: [MemoryBacking] = [.anonymous, .memfd]

  @Test(arguments: backings, [false, true])
  func memoryStartsZeroAndReportable(backing: MemoryBacking, preallocated: Bool) throws {
    let memory = try makeMemory(4 * mebibyte, backing, preallocated: preallocated)
    #expect(memory.isZero(at: GPA(0), byteCount: 4 << 20))
    #expect(memory.withheldPages.isEmpty)
  }

  @Test(arguments: backings)
  func bytesComeBack(backing: MemoryBacking) throws {
    let memory = try makeMemory(16 * mebibyte, backing)
    let bytes = (0..<10_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    try memory.write(bytes, at: GPA(4093))
    #expect(try memory.read(at: GPA(4093), byteCount: bytes.count) == bytes)
    #expect(try memory.read(at: GPA(4092), byteCount: 2) == [0, bytes[0]])
    #expect(try memory.read(at: GPA(4093 + 9_999), byteCount: 2) == [bytes[9_999], 0])
    var copy = [UInt8](repeating: 1, count: 300)
    try Self.read(memory, GPA(5000), &copy)
    #expect(copy == Array(bytes[907..<1207]))
    let sum = memory.withBytes(at: GPA(4093), byteCount: 4) { span in
      unsafe span.withUnsafeBytes { unsafe $0.reduce(0) { $0 + Int($1) } }
    }
    #expect(sum == 0 + 7 + 14 + 21)
  }

  private static func read(
    _ memory: GuestMemory, _ address: GPA, _ bytes: inout [UInt8]
  ) throws {
    var span = bytes.mutableSpan
    var raw = unsafe span.mutableBytes
    try memory.read(at: address, into: &raw)
  }

  @Test func integersAreLittleEndianAndUnaligned() throws {
    let memory = try makeMemory()
    try memory.store(0x0102_0304_0506_0708 as UInt64, at: GPA(0xFFD))
    #expect(try memory.read(at: GPA(0xFFD), byteCount: 8) == [8, 7, 6, 5, 4, 3, 2, 1])
    #expect(try memory.load(at: GPA(0xFFE), as: UInt16.self) == 0x0607)
    #expect(try memory.load(at: GPA(0xFFD)) as Int32 == 0x0506_0708)
    try memory.store(-1 as Int8, at: GPA(0xFFD))
    #expect(try memory.load(at: GPA(0xFFD), as: UInt16.self) == 0x07FF)
  }

  @Test func theLastByteOfARegionIsUsable() throws {
    let memory = try makeMemory(2 * gibibyte + mebibyte)
    for last in [0x7FFF_FFFF, 0x1_000F_FFFF] as [UInt64] {
      try memory.store(7 as UInt8, at: GPA(last))
      #expect(try memory.load(at: GPA(last), as: UInt8.self) == 7)
      #expect(throws: GuestMemoryError.notRAM(GPA(last), byteCount: 2)) {
        try memory.store(7 as UInt16, at: GPA(last))
      }
    }
  }

  /// Every way to write, over 0x1800…0x27FF, pages 1 and 2.
  static let writes: [(String, @Sendable (GuestMemory, GPA, Int) throws -> Bool)] = [
    (
      "write span",
      { memory, address, byteCount in
        let bytes = [UInt8](repeating: 1, count: byteCount)
        try unsafe memory.write(bytes.span.bytes, at: address)
        return true
      }
    ),
    (
      "write array",
      { memory, address, byteCount in
        try memory.write([UInt8](repeating: 1, count: byteCount), at: address)
        return true
      }
    ),
    (
      "store",
      { memory, address, byteCount in
        for offset in stride(from: 0, to: UInt64(byteCount), by: 8) {
          try memory.store(1 as UInt64, at: GPA(address.rawValue &+ offset))
        }
        return true
      }
    ),
    (
      "fill with zero",
      { memory, address, byteCount in
        try memory.fill(at: address, byteCount: byteCount, with: 0)
        return true
      }
    ),
    (
      "withMutableBytes",
      { memory, address, byteCount in
        memory.withMutableBytes(at: address, byteCount: byteCount) { span in
          // The mark is there before the first byte can change.
          let pages = Set([address.page, GPN(containing: address.rawValue + UInt64(byteCount) - 1)])
          let isMarked = pages.allSatisfy { page in
            memory.tracker.snapshot().counts(in: PageRange(start: page, pageCount: 1)).touched == 1
          }
          return isMarked && span.byteCount == byteCount
        } == true
      }
    ),
    (
      "readFile",
      { memory, address, byteCount in
        let file = try ScratchFile([UInt8](repeating: 0, count: byteCount))
        try memory.readFile(
          descriptor: file.descriptor, fileOffset: 0, byteCount: byteCount, at: address)
        return true
      }
    ),
  ]

  @Test(arguments: writes.indices)
  func everyWriteMarksItsPagesAndNoOther(index: Int) throws {
    let (name, write) = Self.writes[index]
    let memory = try makeMemory()
    #expect(try write(memory, GPA(0x1800), 0x1000), "\(name)")
    #expect(memory.withheldPages == [1, 2], "\(name)")
  }

  @Test(arguments: writes.indices, [0x100_0000, 0xFF_F001, UInt64.max - 0xFFF, 1 << 40])
  func noWriteOutsideMarksOrTraps(index: Int, address: UInt64) throws {
    let (name, write) = Self.writes[index]
    // The last page of 16 MiB, 0xFFF000, is in part inside.
    let memory = try makeMemory()
    do {
      let isDone = try write(memory, GPA(address), 0x1000)
      #expect(name == "withMutableBytes" && !isDone, "\(name)")
    } catch let error as GuestMemoryError {
      guard case .notRAM = error else { throw error }
    }
    // Integers are stored one by one: those inside are written, and marked.
    #expect(memory.withheldPages == (name == "store" && address == 0xFF_F001 ? [0xFFF] : []))
  }

  @Test func noBytesMarkNothing() throws {
    let memory = try makeMemory()
    try memory.write([], at: GPA(0x1000))
    try memory.fill(at: GPA(0x1000), byteCount: 0, with: 1)
    #expect(memory.withMutableBytes(at: GPA(0x1000), byteCount: 0) { $0.byteCount } == 0)
    try memory.readFile(descriptor: -1, fileOffset: 0, byteCount: 0, at: GPA(0x1000))
    #expect(memory.withheldPages.isEmpty)
    #expect(throws: GuestMemoryError.notRAM(GPA(16 << 20), byteCount: 0)) {
      try memory.write([], at: GPA(16 << 20))
    }
  }

  @Test func readsMarkNothing() throws {
    let memory = try makeMemory()
    _ = try memory.read(at: GPA(0), byteCount: 1 << 20)
    _ = try memory.load(at: GPA(0), as: UInt64.self)
    _ = memory.withBytes(at: GPA(0), byteCount: 100) { $0.byteCount }
    let file = try ScratchFile([])
    try memory.writeFile(descriptor: file.descriptor, fileOffset: 0, byteCount: 100, at: GPA(0))
    #expect(memory.withheldPages.isEmpty)
  }

  @Test(arguments: LayoutTests.places.filter { !$0.2 })
  func readsOutsideAreErrors(address: UInt64, byteCount: Int, isInside: Bool) throws {
    let memory = try makeMemory(2 * gibibyte + 0x2000)
    #expect(throws: GuestMemoryError.notRAM(GPA(address), byteCount: byteCount)) {
      try memory.read(at: GPA(address), byteCount: byteCount)
    }
    #expect(memory.withBytes(at: GPA(address), byteCount: byteCount) { _ in 1 } == nil)
    #expect(memory.withMutableBytes(at: GPA(address), byteCount: byteCount) { _ in 1 } == nil)
    #expect(throws: GuestMemoryError.notRAM(GPA(address), byteCount: byteCount)) {
      try memory.fill(at: GPA(address), byteCount: byteCount, with: 1)
    }
    #expect(throws: GuestMemoryError.notRAM(GPA(address), byteCount: byteCount)) {
      try memory.discard(at: GPA(address), byteCount: byteCount)
    }
    #expect(throws: GuestMemoryError.notRAM(GPA(address), byteCount: byteCount)) {
      try memory.readFile(descriptor: -1, fileOffset: 0, byteCount: byteCount, at: GPA(address))
    }
  }

  @Test func errorsOfABodyPassThrough() throws {
    struct Refusal: Error {}
    let memory = try makeMemory()
    #expect(throws: Refusal.self) {
      try memory.withMutableBytes(at: GPA(0), byteCount: 1) { _ throws(Refusal) in
        throw Refusal()
      }
    }
    #expect(memory.withheldPages == [0])
  }

  @Test func writesMayNest() throws {
    let memory = try makeMemory()
    let inner: Void? = try memory.withMutableBytes(at: GPA(0), byteCount: 8) { _ in
      try memory.write([1], at: GPA(0x5000))
    }
    #expect(inner != nil)
    #expect(memory.withheldPages == [0, 5])
  }

  @Test func regionsAreMappedApart() throws {
    let memory = try makeMemory(2 * gibibyte + 2 * mebibyte)
    let regions = memory.mappedRegions
    #expect(regions.map(\.start) == [GPA(0), GPA(0x1_0000_0000)])
    #expect(regions.map(\.byteCount) == [2 * gibibyte, 2 * mebibyte])
    #expect(regions.allSatisfy { $0.hostAddress % (2 << 20) == 0 })
  }
}
