import Foundation
import Glibc
import TestSupport
import Testing
import ZeroTracker

@testable import GuestMemory

/// Memory in a file, and back.
@Suite struct SavingTests {
  /// Stretches of each shape: single pages, whole huge pages, those that begin and end within one,
  /// and more than is read at a time.
  private static let stretches: [Range<UInt64>] = [
    1..<2, 3..<4, 511..<513, 1024..<1536, 1600..<3000, 4096..<(4096 + 9000),
  ]

  private static let givesHugePagesUnasked = {
    let path = "/sys/kernel/mm/transparent_hugepage/enabled"
    return (try? String(contentsOfFile: path, encoding: .utf8))?.contains("[always]") ?? false
  }()

  private static func written(_ backing: MemoryBacking) throws -> GuestMemory {
    let memory = try makeMemory(64 * mebibyte, backing)
    memory.prepareInspection()
    for stretch in stretches {
      for page in stretch { try memory.store(page | 1, at: GPA(page << 12 | 8)) }
    }
    return memory
  }

  @Test(arguments: [MemoryBacking.anonymous, .memfd])
  func allOfItAndNoMore(backing: MemoryBacking) throws {
    let file = try ScratchFile([])
    let saved = try Self.written(backing).save(to: file.descriptor) { true }
    let memory = try makeMemory(64 * mebibyte, backing)
    try memory.restore(saved, from: file.descriptor) { true }
    let expected = Self.stretches.flatMap { Array($0) }
    #expect(memory.withheldPages == expected)
    for page in expected {
      #expect(try memory.load(at: GPA(page << 12 | 8), as: UInt64.self) == page | 1)
    }
    // Where huge pages are asked for is no more than was saved; a host that gives them unasked
    // gives whole ones.
    let resident = try memory.residentByteCount() / 4096
    if backing == .anonymous, Self.givesHugePagesUnasked {
      #expect(resident >= expected.count && resident <= Set(expected.map { $0 / 512 }).count * 512)
    } else {
      #expect(resident == expected.count)
    }
  }

  @Test func damageIsSeen() throws {
    let file = try ScratchFile([])
    let saved = try Self.written(.anonymous).save(to: file.descriptor) { true }
    let address = off_t(2999) << 12
    #expect(unsafe pwrite(file.descriptor, "x", 1, address) == 1)
    #expect {
      try makeMemory(64 * mebibyte).restore(saved, from: file.descriptor) { true }
    } throws: { error in
      guard case .savedPages(let start, let byteCount) = error as? GuestMemoryError else {
        return false
      }
      return start == GPA(1600 << 12) && byteCount == 1400 << 12
    }
  }

  @Test(arguments: [UInt64(16384), 16383, 1 << 40, .max], [UInt64(2), 1 << 32, .max])
  func whatIsNoRAMIsRefused(start: UInt64, count: UInt64) throws {
    let file = try ScratchFile([])
    let pages = PageRange(start: GPN(rawValue: start), pageCount: count)
    #expect {
      try makeMemory(64 * mebibyte).restore(
        [SavedPages(pages: pages, checksum: 0)], from: file.descriptor
      ) { true }
    } throws: { error in
      if case .notRAM = error as? GuestMemoryError { true } else { false }
    }
  }

  @Test func whoWantsAnEndGetsOne() throws {
    let file = try ScratchFile([])
    let saved = try Self.written(.anonymous).save(to: file.descriptor) { true }
    let memory = try makeMemory(64 * mebibyte)
    #expect(throws: GuestMemoryError.interrupted) {
      try memory.restore(saved, from: file.descriptor) { false }
    }
    #expect(memory.withheldPages == [])
  }

  @Test func hugeStretches() {
    func run(_ pages: Range<UInt64>) -> PageRange {
      PageRange(start: GPN(rawValue: pages.lowerBound), end: GPN(rawValue: pages.upperBound))
    }
    // Runs that follow each other are one; a huge page counts if all of it is there.
    let runs = [0..<511, 600..<1024, 1024..<1100, 1100..<2047, 2048..<4096, 4097..<5119].map(run)
    #expect(HugeStretches.longest(9, of: runs) == [run(2048..<4096), run(1024..<1536)])
    #expect(HugeStretches.longest(1, of: runs) == [run(2048..<4096)])
    let odd = [PageRange(start: GPN(rawValue: .max), pageCount: .max)]
    #expect(HugeStretches.longest(9, of: odd) == [])
  }
}
