import Glibc
import GuestMemory
import Testing
import ZeroTracker

@Suite struct ClaimTests {
  @Test func claimedMemoryIsWithheldForGood() throws {
    let memory = try makeMemory(granularity: 65536)
    let claimed = try memory.claim(at: GPA(0x1_8000), byteCount: 0x1000, owner: "vhost-net")
    #expect(claimed.start == GPA(0x1_8000))
    #expect(claimed.byteCount == 0x1000)
    #expect(memory.withheldPages == Array(16..<32))
    try memory.discard(at: GPA(0), byteCount: 16 << 20)
    memory.refine()
    #expect(memory.withheldPages == Array(16..<32))
  }

  @Test func itsAddressIsTheGuestsMemory() throws {
    let memory = try makeMemory()
    let claimed = try memory.claim(at: GPA(0x3000), byteCount: 8, owner: "test")
    // As the kernel writes for vhost: by the address, past everything of ours.
    var ends: [Int32] = [-1, -1]
    #expect(unsafe pipe(&ends) == 0)
    defer { for end in ends { close(end) } }
    var value: UInt64 = 0x1122_3344_5566_7788
    #expect(unsafe write(ends[1], &value, 8) == 8)
    let written = unsafe read(
      ends[0], UnsafeMutableRawPointer(bitPattern: claimed.hostAddress), 8)
    #expect(written == 8)
    #expect(try memory.load(at: GPA(0x3000)) == value)
  }

  @Test func itKeepsTheMappingAlive() throws {
    var memory: GuestMemory? = try makeMemory()
    let claimed = try memory!.claim(at: GPA(0), byteCount: 4096, owner: "test")
    memory = nil
    let pointer = unsafe UnsafePointer<UInt8>(bitPattern: claimed.hostAddress)!
    #expect(unsafe pointer.pointee == 0)
  }

  @Test(arguments: [(16 << 20, 1), (0x1000, -1), ((16 << 20) - 1, 2)] as [(UInt64, Int)])
  func whatIsNotRAMCannotBeClaimed(address: UInt64, byteCount: Int) throws {
    let memory = try makeMemory()
    #expect(throws: GuestMemoryError.notRAM(GPA(address), byteCount: byteCount)) {
      _ = try memory.claim(at: GPA(address), byteCount: byteCount, owner: "test")
    }
    #expect(memory.withheldPages.isEmpty)
  }
}
