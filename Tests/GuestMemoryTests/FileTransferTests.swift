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
}
