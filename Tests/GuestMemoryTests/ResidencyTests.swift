import Foundation
import GuestMemory
import Testing

@Suite struct ResidencyTests {
  /// What one store makes resident: a huge page of anonymous memory on a host that gives them to
  /// all.
  private func bytesPerFirstStore(_ backing: MemoryBacking) -> UInt64 {
    let setting = try? String(
      contentsOfFile: "/sys/kernel/mm/transparent_hugepage/enabled", encoding: .utf8)
    return backing == .anonymous && setting?.contains("[always]") == true ? 2 * mebibyte : 4096
  }

  @Test(arguments: [MemoryBacking.anonymous, .memfd])
  func onlyWrittenPagesAreResident(backing: MemoryBacking) throws {
    let memory = try makeMemory(2 * gibibyte + 16 * mebibyte, backing)
    #expect(try memory.residentByteCount() == 0)
    try memory.store(1 as UInt8, at: GPA(0x5000))
    try memory.store(1 as UInt8, at: GPA(0x1_0000_5000))
    #expect(try memory.residentByteCount() == 2 * bytesPerFirstStore(backing))
  }

  @Test func readingAnonymousMemoryBacksNothing() throws {
    let memory = try makeMemory()
    _ = try memory.read(at: GPA(0), byteCount: 16 << 20)
    #expect(try memory.residentByteCount() == 0)
  }

  @Test(arguments: [MemoryBacking.anonymous, .memfd])
  func preallocatedMemoryIsResident(backing: MemoryBacking) throws {
    let memory = try makeMemory(16 * mebibyte, backing, preallocated: true)
    #expect(try memory.residentByteCount() == 16 * mebibyte)
    #expect(memory.withheldPages.isEmpty)
  }

  @Test func transparentHugePagesAreOnlyAHint() throws {
    let memory = try GuestMemory(
      layout: GuestMemoryLayout(ramByteCount: 16 * mebibyte), transparentHugePages: true)
    try memory.store(1 as UInt8, at: GPA(0))
    let resident = try memory.residentByteCount()
    #expect(resident == 4096 || resident == 2 * mebibyte)
  }

  @Test func neighboursAreCountedApart() throws {
    let memories = try (0..<4).map { _ in try makeMemory(2 * mebibyte) }
    for (index, memory) in memories.enumerated() {
      try memory.fill(at: GPA(0), byteCount: 4096 * (index + 1), with: 1)
    }
    for (index, memory) in memories.enumerated() {
      let stored = UInt64(4096 * (index + 1))
      #expect(try memory.residentByteCount() == max(stored, bytesPerFirstStore(.anonymous)))
    }
  }
}
