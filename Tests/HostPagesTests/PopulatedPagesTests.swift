import Glibc
import HostPages
import Testing

/// What the host has populated, as its page tables say.
@Suite(.enabled(if: PopulatedPages.obstacle() == nil, "needs PAGEMAP_SCAN"))
struct PopulatedPagesTests {
  private func runs(_ range: HostRange) throws -> [PopulatedPages.Run] {
    var runs: [PopulatedPages.Run] = []
    try PopulatedPages().forEachRun(of: range) { runs.append($0) }
    return runs
  }

  private func withPages(
    _ count: Int, _ body: (UnsafeMutableRawPointer, HostRange) throws -> Void
  ) throws {
    let byteCount = count * 4096
    let base = unsafe try #require(
      mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
    defer { _ = unsafe munmap(base, byteCount) }
    // Single pages, whatever the host is set to.
    try #require(unsafe madvise(base, byteCount, MADV_NOHUGEPAGE) == 0)
    try unsafe body(base, HostRange(start: UInt(bitPattern: base), byteCount: byteCount))
  }

  @Test func writtenPagesAreAndReadOnesAreNot() throws {
    try unsafe withPages(16) { base, range in
      var found = try runs(range)
      #expect(found == [])
      // The shared zero page is no page of this memory's own.
      #expect(unsafe base.load(fromByteOffset: 9 * 4096, as: UInt8.self) == 0)
      for page in [0, 3, 4, 5, 15] {
        unsafe base.storeBytes(of: 0, toByteOffset: page * 4096, as: UInt8.self)
      }
      found = try runs(range)
      #expect(found == [0..<1, 3..<6, 15..<16].map { PopulatedPages.Run(pages: $0) })
      // What is given back is gone.
      try #require(unsafe madvise(base + 4 * 4096, 4096, MADV_DONTNEED) == 0)
      found = try runs(range)
      #expect(found.map(\.pages) == [0..<1, 3..<4, 5..<6, 15..<16])
    }
  }

  /// More runs than one call returns.
  @Test func manyRuns() throws {
    try unsafe withPages(8192) { base, range in
      for page in stride(from: 0, to: 8192, by: 2) {
        unsafe base.storeBytes(of: 1, toByteOffset: page * 4096, as: UInt8.self)
      }
      let expected = stride(from: 0, to: 8192, by: 2).map { $0..<$0 + 1 }
      let found = try runs(range).map(\.pages)
      #expect(found == expected)
    }
  }

  @Test func unmappedMemoryIsAnError() throws {
    try unsafe withPages(4) { base, range in
      try #require(unsafe munmap(base + 4096, 4096) == 0)
      #expect(throws: HostPagesError.registrationLost(range)) {
        try PopulatedPages().forEachRun(of: range) { _ in }
      }
    }
  }
}
