import Glibc
import HostSystem
import TestSupport
import Testing
import ZeroTracker

@testable import GuestMemory

/// What is noted of this process's writes while a machine moves.
struct WriteLogTests {
  private let memory: GuestMemory

  init() throws {
    memory = try GuestMemory(layout: GuestMemoryLayout(ramByteCount: 5 << 30))
  }

  private func take() -> [Range<Int>] {
    var pages: [Range<Int>] = []
    for (number, region) in memory.layout.regions.enumerated() {
      let count = Int(region.pages.pageCount)
      var bits = [UInt64](repeating: 0, count: (count + 63) / 64)
      memory.takeWriteLog(ofRegion: number, into: &bits)
      let first = Int(region.pages.start.rawValue)
      for page in 0..<count where bits[page / 64] >> UInt64(page % 64) & 1 != 0 {
        if let last = pages.last, last.upperBound == first + page {
          pages[pages.count - 1] = last.lowerBound..<first + page + 1
        } else {
          pages.append(first + page..<first + page + 1)
        }
      }
    }
    return pages
  }

  @Test func everyWayToWriteIsNoted() throws {
    let file = try unsafe #require(tmpfile())
    defer { unsafe fclose(file) }
    let descriptor = unsafe fileno(file)
    ftruncate(descriptor, 1 << 20)
    func piece(_ page: UInt64, _ count: Int) -> GuestMemoryPiece {
      GuestMemoryPiece(start: GPA(page << 12), byteCount: count)
    }
    let ways: [(String, [Range<Int>], () throws -> Void)] = [
      ("store", [4..<6], { try memory.store(1 as UInt64, at: GPA(0x4FFC)) }),
      ("write", [64..<65], { try memory.write([1, 2], at: GPA(0x4_0000)) }),
      ("fill", [60..<200], { try memory.fill(at: GPA(60 << 12), byteCount: 140 << 12, with: 7) }),
      (
        "withMutableBytes", [9..<10],
        { _ = memory.withMutableBytes(at: GPA(0x9000), byteCount: 1) { _ in } }
      ),
      (
        "readFile", [16..<18],
        {
          try memory.readFile(
            descriptor: descriptor, fileOffset: 0, byteCount: 8192, at: GPA(0x1_0000))
        }
      ),
      (
        "readFile into pieces", [1..<2, 700..<703],
        {
          try memory.readFile(
            descriptor: descriptor, fileOffset: 0, into: [piece(700, 3 << 12), piece(1, 16)])
        }
      ),
      ("discard", [256..<272], { try memory.discard(at: GPA(256 << 12), byteCount: 1 << 16) }),
      (
        "the second region", [1 << 20..<(1 << 20) + 1],
        { try memory.store(1 as UInt8, at: GPA(4 << 30)) }
      ),
    ]
    for (name, _, write) in ways {
      try write()
      #expect(take().isEmpty, "\(name): before it is on")
    }
    #expect(memory.beginWriteLog())
    for (name, pages, write) in ways {
      try write()
      #expect(take() == pages, "\(name)")
      #expect(take().isEmpty, "\(name): twice")
      // Marked already: what was written once is noted again.
      try write()
      #expect(take() == pages, "\(name): again")
    }
    _ = memory.withBytes(at: GPA(0x9000), byteCount: 1) { _ in }
    _ = try memory.read(at: GPA(0), byteCount: 4096)
    try? memory.store(1 as UInt64, at: GPA(0xF000_0000))
    #expect(take().isEmpty, "reads, and what is no memory")
    try memory.store(1 as UInt8, at: GPA(0))
    memory.endWriteLog()
    #expect(take().isEmpty && memory.beginWriteLog() && take().isEmpty, "begun anew")
  }

  /// A write is noted after its bytes, also if it fails.
  @Test func aWriteIsNotedWhenItIsDone() throws {
    struct Failure: Error {}
    #expect(memory.beginWriteLog())
    let result: Void? = try? memory.withMutableBytes(at: GPA(0x5000), byteCount: 8) { bytes in
      #expect(take().isEmpty, "before its bytes")
      bytes.storeBytes(of: 1, as: UInt64.self)
      throw Failure()
    }
    #expect(result == nil && take() == [5..<6])
  }

  /// Four threads count in pages of their own; a fifth copies what was noted. In the end, when they
  /// stand still, the copy is what is there.
  @Test func noWriteIsLost() throws {
    let pageCount = 64
    let copy = Guarded([UInt64](repeating: 0, count: pageCount))
    let isOver = Guarded(false)
    #expect(memory.beginWriteLog())
    func copyNoted() throws {
      for range in take() {
        for page in range {
          let value: UInt64 = try memory.load(at: GPA(UInt64(page) << 12))
          copy.withLock { $0[page] = value }
        }
      }
    }
    let memory = memory
    let threads = try (0..<4).map { number in
      try HostThread {
        var generator = SeededGenerator(seed: UInt64(number))
        for value in 1...20_000 as ClosedRange<UInt64> {
          let page = UInt64(number) + 4 * UInt64.random(in: 0..<16, using: &generator)
          try? memory.store(value, at: GPA(page << 12))
        }
      }
    }
    let waiter = try HostThread {
      for thread in threads { thread.join() }
      isOver.withLock { $0 = true }
    }
    while !isOver.withLock({ $0 }) { try copyNoted() }
    waiter.join()
    try copyNoted()
    for page in 0..<pageCount {
      let value: UInt64 = try memory.load(at: GPA(UInt64(page) << 12))
      #expect(copy.withLock { $0[page] } == value && value > 0, "page \(page)")
    }
  }
}
