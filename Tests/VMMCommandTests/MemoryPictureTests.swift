import TestSupport
import Testing

@testable import VMMCommand

@Suite struct MemoryPictureTests {
  @Test(
    arguments: [
      (0, 4096, 1), (1, 4096, 1), (4096, 4096, 1), (4097, 4096, 2), (16 << 20, 4096, 4096),
      ((16 << 20) + 1, 8192, 2049), (1 << 30, 256 << 10, 4096), (5 << 30, 2 << 20, 2560),
      (1 << 46, 16 << 30, 4096), (.max, 1 << 52, 4095),
    ] as [(UInt64, UInt64, Int)])
  func cellsAreBounded(byteCount: UInt64, bytesPerCell: UInt64, cellCount: Int) {
    let map = MemoryPicture(addressSpaceByteCount: byteCount)
    #expect(map.bytesPerCell == bytesPerCell)
    #expect(map.cells.count == cellCount)
    #expect(map.cells.count <= MemoryPicture.maximumCellCount)
    #expect(map.memoryByteCount == 0)
  }

  @Test func sharesOfCells() {
    var map = MemoryPicture(addressSpaceByteCount: 32 << 20)
    #expect(map.bytesPerCell == 8192)
    map.add(.vmmTouched, 0..<4096)
    map.add(.guestWritten, 4096..<(3 * 8192))
    map.add(.reportedZero, (31 << 20)..<(40 << 20))
    map.add(.zeroNotReported, 100_000..<100_000)
    #expect(map.cells[0][.vmmTouched] == 4096)
    #expect(map.cells[0][.guestWritten] == 4096)
    #expect(map.cells[1][.guestWritten] == 8192)
    #expect(map.cells[3][.notRAM] == 8192)
    #expect(map.byteCount(.guestWritten) == 3 * 8192 - 4096)
    #expect(map.byteCount(.reportedZero) == 1 << 20)
    #expect(map.byteCount(.zeroNotReported) == 0)
    #expect(map.memoryByteCount == 3 * 8192 + (1 << 20))
  }

  @Test func totalsEqualWhatWasAdded() {
    var generator = SeededGenerator(seed: 42)
    var map = MemoryPicture(addressSpaceByteCount: 3 << 30)
    var totals: [MemoryClass: UInt64] = [:]
    var start: UInt64 = 0
    while start < 3 << 30 {
      let end = min(3 << 30, start + .random(in: 1...4000, using: &generator) * 4096)
      let memoryClass = MemoryClass.allCases.randomElement(using: &generator)!
      map.add(memoryClass, start..<end)
      totals[memoryClass, default: 0] += end - start
      start = end
    }
    for memoryClass in MemoryClass.allCases {
      #expect(map.byteCount(memoryClass) == totals[memoryClass], "seed 42: \(memoryClass)")
    }
  }

  @Test func overlapsAreOurMistake() async {
    await #expect(processExitsWith: .failure) {
      var map = MemoryPicture(addressSpaceByteCount: 1 << 20)
      map.add(.vmmTouched, 0..<8192)
      map.add(.reportedZero, 4096..<8192)
    }
  }
}
