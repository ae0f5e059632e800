import GuestMemory
import TestSupport
import Testing

@testable import Devices

@Suite(.onDiskThread) struct NVMeDataBufferTests {
  private let memory: GuestMemory

  init() throws {
    memory = try GuestMemory(layout: GuestMemoryLayout(ramByteCount: 8 << 20))
  }

  private func buffer(_ prp1: UInt64, _ prp2: UInt64, _ byteCount: Int) throws(NVMeFailure)
    -> [GuestMemoryPiece]
  {
    try NVMeDataBuffer(prp1: prp1, prp2: prp2, byteCount: byteCount, memory: memory).pieces
  }

  private func piece(_ start: UInt64, _ byteCount: Int) -> GuestMemoryPiece {
    GuestMemoryPiece(start: GPA(start), byteCount: byteCount)
  }

  @Test("one page, two pages, and neighbours that become one piece")
  func short() throws {
    #expect(try buffer(0x5200, 0xFFFF_FFFF, 0xE00) == [piece(0x5200, 0xE00)])
    #expect(try buffer(0x5200, 0x9000, 0x1000) == [piece(0x5200, 0xE00), piece(0x9000, 0x200)])
    #expect(try buffer(0x5200, 0x6000, 0x1000) == [piece(0x5200, 0x1000)])
    #expect(try buffer(0x5004, 0x9000, 0x1FFC) == [piece(0x5004, 0xFFC), piece(0x9000, 0x1000)])
  }

  @Test(
    "lists that begin anywhere in a page, and go on in others", arguments: [0, 8, 0xFE8, 0xFF8])
  func lists(offset: UInt64) throws {
    // 128 pages, every other one; the last entry of the first list page links to a second one.
    let list = 0x10_0000 + offset
    var entry = list
    for index in 1..<128 {
      if entry == 0x10_0FF8, index < 127 {
        try memory.store(UInt64(0x11_0000), at: GPA(entry))
        entry = 0x11_0000
      }
      try memory.store(UInt64(0x20_0000 + index * 0x2000), at: GPA(entry))
      entry += 8
    }
    let pieces = try buffer(0x20_0000, list, 128 * 4096)
    let expected = (0..<128 as Range<UInt64>).map { piece(0x20_0000 + $0 * 0x2000, 4096) }
    #expect(pieces == expected)
  }

  struct Row: CustomTestStringConvertible, Sendable {
    let prp1: UInt64
    let prp2: UInt64
    let byteCount: Int
    let status: NVMeStatus
    let testDescription: String
  }

  @Test(
    "hostile entries",
    arguments: [
      Row(prp1: 0x5001, prp2: 0, byteCount: 512, status: .prpOffsetInvalid, testDescription: "odd"),
      Row(
        prp1: 0x80_0000, prp2: 0, byteCount: 512, status: .dataTransferError,
        testDescription: "first page outside RAM"),
      Row(
        prp1: .max - 3, prp2: 0, byteCount: 4, status: .dataTransferError,
        testDescription: "end of the address space"),
      Row(
        prp1: 0x5000, prp2: 0x6200, byteCount: 8192, status: .prpOffsetInvalid,
        testDescription: "second page with offset"),
      Row(
        prp1: 0x5000, prp2: 0x80_0000, byteCount: 8192, status: .dataTransferError,
        testDescription: "second page outside RAM"),
      Row(
        prp1: 0x5000, prp2: 0x6004, byteCount: 12288, status: .prpOffsetInvalid,
        testDescription: "list at a multiple of 4"),
      Row(
        prp1: 0x5000, prp2: 0x80_0000, byteCount: 12288, status: .dataTransferError,
        testDescription: "list outside RAM"),
      Row(
        prp1: 0x5000, prp2: .max - 7, byteCount: 12288, status: .dataTransferError,
        testDescription: "list at the end of the address space"),
      Row(
        prp1: 0x5000, prp2: 0x30_0000, byteCount: 12288, status: .prpOffsetInvalid,
        testDescription: "entry with offset"),
      Row(
        prp1: 0x5000, prp2: 0x31_0FF8, byteCount: 12288, status: .prpOffsetInvalid,
        testDescription: "list that links to its own last entry"),
      Row(
        prp1: 0x5000, prp2: 0x32_0FF8, byteCount: 12288, status: .dataTransferError,
        testDescription: "link outside RAM"),
    ])
  func hostile(row: Row) throws {
    try memory.store(UInt64(0x7010), at: GPA(0x30_0000))
    try memory.store(UInt64(0x31_0FF8), at: GPA(0x31_0FF8))
    try memory.store(UInt64(0x8000_0000), at: GPA(0x32_0FF8))
    #expect(throws: NVMeFailure(row.status)) {
      try buffer(row.prp1, row.prp2, row.byteCount)
    }
  }

  @Test("a list that links to itself ends with the data")
  func loop() throws {
    for index in 0..<512 {
      try memory.store(UInt64(0x40_0000), at: GPA(0x40_0000 + UInt64(8 * index)))
    }
    // Longer than any command, so that the loop is walked.
    let pieces = try buffer(0x5000, 0x40_0000, 4096 * 1200)
    #expect(pieces.count == 1200)
  }

  @Test("random entries never trap")
  func random() throws {
    var generator = SeededGenerator(seed: 77)
    for _ in 0..<5000 {
      let prp1 = generator.nextOfAnyMagnitude()
      let prp2 = generator.nextOfAnyMagnitude() & ~7
      let byteCount = Int.random(in: 1...(512 << 10), using: &generator)
      let pieces = try? buffer(prp1, prp2, byteCount)
      if let pieces { #expect(pieces.reduce(0) { $0 + $1.byteCount } == byteCount, "seed 77") }
    }
  }
}
