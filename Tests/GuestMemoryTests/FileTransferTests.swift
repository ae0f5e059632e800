import Glibc
import GuestMemory
import Testing

@Suite struct FileTransferTests {
  @Test func filesAreReadInPlace() throws {
    // More than one system call's worth, and a tail.
    let bytes = (0..<(9 << 20) + 17).map { UInt8(truncatingIfNeeded: $0 ^ ($0 >> 9)) }
    let file = try ScratchFile(bytes)
    let memory = try makeMemory()
    try memory.readFile(
      descriptor: file.descriptor, fileOffset: 3, byteCount: bytes.count - 3, at: GPA(0x1001))
    #expect(try memory.read(at: GPA(0x1001), byteCount: bytes.count - 3) == Array(bytes[3...]))
    #expect(try memory.load(at: GPA(0x1000), as: UInt8.self) == 0)
    let pages = UInt64(1)...((0x1001 + UInt64(bytes.count) - 4) / 4096)
    #expect(memory.withheldPages == Array(pages))
  }

  @Test func memoryIsWrittenToFiles() throws {
    let memory = try makeMemory()
    let bytes = (0..<(5 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    try memory.write(bytes, at: GPA(0x3003))
    let file = try ScratchFile([9, 9, 9])
    try memory.writeFile(
      descriptor: file.descriptor, fileOffset: 2, byteCount: bytes.count, at: GPA(0x3003))
    #expect(try file.contents(6 << 20) == [9, 9] + bytes)
  }

  @Test func aShortFileIsAnError() throws {
    let memory = try makeMemory()
    let file = try ScratchFile([1, 2, 3])
    let error = GuestMemoryError.fileEnded(GPA(0), byteCount: 10, transferredByteCount: 3)
    #expect(throws: error) {
      try memory.readFile(descriptor: file.descriptor, fileOffset: 0, byteCount: 10, at: GPA(0))
    }
    #expect(memory.withheldPages == [0])
  }

  @Test(arguments: [(0 as off_t, EBADF), (-1, EINVAL)])
  func errorsOfTheSystemCarryTheirNumber(fileOffset: off_t, errno: Int32) throws {
    let memory = try makeMemory()
    let file = try ScratchFile([1])
    let descriptor = errno == EBADF ? -1 : file.descriptor
    let error = GuestMemoryError.system(
      operation: "pread", GPA(0x1000), byteCount: 10, errno: errno)
    #expect(throws: error) {
      try memory.readFile(
        descriptor: descriptor, fileOffset: fileOffset, byteCount: 10, at: GPA(0x1000))
    }
  }

  /// Every other page from 2 MiB on, backwards, with a first and a last that are short, and an
  /// empty one.
  private func scatter(_ pageCount: Int) -> [GuestMemoryPiece] {
    var pieces = [GuestMemoryPiece(start: GPA(0x1010), byteCount: 100)]
    for index in (0..<pageCount).reversed() {
      let start = GPA(0x20_0000 + UInt64(index) * 0x2000)
      pieces.append(GuestMemoryPiece(start: start, byteCount: 4096))
    }
    pieces.append(GuestMemoryPiece(start: GPA(0x5000), byteCount: 0))
    pieces.append(GuestMemoryPiece(start: GPA(0x3FFE), byteCount: 3))
    return pieces
  }

  // One call's worth, and several.
  @Test(arguments: [0, 1, 255, 256, 600, 1200])
  func scatteredBytesAreReadInPlace(pageCount: Int) throws {
    let pieces = scatter(pageCount)
    let byteCount = pieces.reduce(0) { $0 + $1.byteCount }
    let bytes = (0..<(byteCount + 3)).map { UInt8(truncatingIfNeeded: $0 ^ ($0 >> 9)) }
    let file = try ScratchFile(bytes)
    let memory = try makeMemory()
    try memory.readFile(descriptor: file.descriptor, fileOffset: 3, into: pieces)
    var done = 3
    for piece in pieces {
      let there = try memory.read(at: piece.start, byteCount: piece.byteCount)
      #expect(there == Array(bytes[done..<(done + piece.byteCount)]))
      done += piece.byteCount
    }
    let pages = (0..<UInt64(pageCount)).map { 0x200 + 2 * $0 }
    #expect(memory.withheldPages == [1, 3, 4] + pages, "and nothing is marked between them")
    let copy = try ScratchFile([])
    try memory.writeFile(descriptor: copy.descriptor, fileOffset: 0, from: pieces)
    #expect(try copy.contents(byteCount + 1) == Array(bytes[3...]))
  }

  @Test func onePieceOutsideRAMAndNothingHappens() throws {
    let memory = try makeMemory()
    let file = try ScratchFile([1, 2, 3])
    for start in [GPA(1 << 40), GPA(.max)] {
      let pieces = scatter(3) + [GuestMemoryPiece(start: start, byteCount: 2)]
      #expect(throws: GuestMemoryError.notRAM(start, byteCount: 2)) {
        try memory.readFile(descriptor: file.descriptor, fileOffset: 0, into: pieces)
      }
      #expect(throws: GuestMemoryError.notRAM(start, byteCount: 2)) {
        try memory.writeFile(descriptor: file.descriptor, fileOffset: 0, from: pieces)
      }
    }
    #expect(memory.withheldPages == [])
    #expect(try file.contents(10) == [1, 2, 3])
  }

  @Test func aShortFileIsAnErrorOfAllPieces() throws {
    let memory = try makeMemory()
    let file = try ScratchFile(Array(repeating: 7, count: 5000))
    let pieces = scatter(2)
    let error = GuestMemoryError.fileEnded(
      GPA(0x1010), byteCount: 8295, transferredByteCount: 5000)
    #expect(throws: error) {
      try memory.readFile(descriptor: file.descriptor, fileOffset: 0, into: pieces)
    }
    let refused = GuestMemoryError.system(
      operation: "preadv", GPA(0x1010), byteCount: 8295, errno: EBADF)
    #expect(throws: refused) {
      try memory.readFile(descriptor: -1, fileOffset: 0, into: pieces)
    }
    try memory.readFile(descriptor: -1, fileOffset: 0, into: [])
  }
}
