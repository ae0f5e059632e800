import GuestMemory
import Testing
import ZeroTracker

@Suite struct GuestMemoryTests {
  @Test(arguments: [MemoryBacking.anonymous, .memfd])
  func smoke(backing: MemoryBacking) throws {
    let layout = try GuestMemoryLayout(ramByteCount: 64 << 20)
    let memory = try GuestMemory(layout: layout, backing: backing)
    memory.tracker.attach(source: Quiet())
    try memory.write([1, 2, 3], at: GPA(0x20000))
    #expect(try memory.load(at: GPA(0x20000), as: UInt32.self) == 0x030201)
    #expect(memory.tracker.zeroedRanges(replyPage: nil).count == 2)
    try memory.discard(at: GPA(0x20000), byteCount: 0x10000)
    #expect(memory.tracker.zeroedRanges(replyPage: nil).count == 1)
    #expect(try memory.load(at: GPA(0x20000), as: UInt32.self) == 0)
    #expect(try memory.residentByteCount() == (backing == .anonymous ? 0 : 4096))
  }
}
final class Quiet: WrittenPageSource {
  func readWrittenPages(of region: PageRange, into words: inout MutableSpan<UInt64>) throws {}
  func stop() throws {}
  func forget(_ range: PageRange) -> Bool { true }
}
