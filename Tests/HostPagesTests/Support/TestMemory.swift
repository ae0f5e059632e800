import Foundation
import Glibc
import HostPages
import TestSupport
import Testing

enum Backing: CaseIterable, Sendable {
  case anonymous, transparentHuge, memfd, hugetlb

  var isAvailable: Bool { self != .hugetlb || HugePagePool.isAvailable }

  /// 4 KiB pages that one write marks.
  var pagesPerWrite: Int { self == .hugetlb ? 512 : 1 }
}

/// How memory is at the start of a test.
struct Memory: CustomTestStringConvertible, Sendable {
  let backing: Backing
  let isPopulated: Bool

  static let all = Backing.allCases.filter(\.isAvailable).flatMap { backing in
    [false, true].map { Memory(backing: backing, isPopulated: $0) }
  }

  var testDescription: String { "\(backing)\(isPopulated ? ", populated" : "")" }

  func make(pageCount: Int = 1024) throws -> TestMemory {
    try TestMemory(backing, pageCount: pageCount, isPopulated: isPopulated)
  }
}

struct SystemFailure: Error {
  let call: String
  let number: Int32
}

/// Mapped zeroed memory, aligned to 2 MiB; unmapped by `deinit`.
///
/// Sendable: every stored property is a constant, and tests say who writes where.
@safe final class TestMemory: @unchecked Sendable {
  private static let alignment = 2 << 20

  let base: UnsafeMutableRawPointer
  let pageCount: Int
  let backing: Backing
  private let mapping: UnsafeMutableRawPointer
  private let pool: HugePagePool?

  init(_ backing: Backing, pageCount: Int = 1024, isPopulated: Bool = false) throws {
    let byteCount = pageCount * 4096
    pool = backing == .hugetlb ? try HugePagePool(adding: byteCount / Self.alignment) : nil
    let reservation = unsafe mmap(
      nil, byteCount + Self.alignment, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
      0)
    guard let mapping = unsafe reservation, unsafe mapping != MAP_FAILED else {
      throw SystemFailure(call: "mmap", number: errno)
    }
    unsafe self.mapping = unsafe mapping
    unsafe base = unsafe mapping.alignedUp(toMultipleOf: Self.alignment)
    self.pageCount = pageCount
    self.backing = backing
    try map()
    if backing == .transparentHuge { try advise(SystemCalls.useHugePages, 0..<pageCount) }
    if isPopulated { try advise(SystemCalls.populateForWriting, 0..<pageCount) }
  }

  deinit {
    unsafe munmap(mapping, pageCount * 4096 + Self.alignment)
  }

  /// Maps new private memory in the place of what is there.
  func replace() throws {
    let result = unsafe mmap(
      base, pageCount * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
      0)
    guard unsafe result == base else { throw SystemFailure(call: "mmap", number: errno) }
  }

  private func map() throws {
    var descriptor: Int32 = -1
    var flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
    if backing == .memfd || backing == .hugetlb {
      descriptor = SystemCalls.makeMemoryFile(
        flags: SystemCalls.memfdCloseOnExec | (backing == .hugetlb ? SystemCalls.memfdHugePages : 0)
      )
      guard ftruncate(descriptor, pageCount * 4096) == 0 else {
        throw SystemFailure(call: "ftruncate", number: errno)
      }
      flags = MAP_SHARED
    }
    defer { if descriptor >= 0 { close(descriptor) } }
    let result = unsafe mmap(
      base, pageCount * 4096, PROT_READ | PROT_WRITE, flags | MAP_FIXED, descriptor, 0)
    guard unsafe result == base else { throw SystemFailure(call: "mmap", number: errno) }
  }

  /// Leaves a hole in the address space. Only for a process of one test: another would map there.
  func unmap(_ pages: Range<Int>) {
    unsafe munmap(base + pages.lowerBound * 4096, pages.count * 4096)
  }

  func advise(_ advice: Int32, _ pages: Range<Int>) throws {
    let start = unsafe base + pages.lowerBound * 4096
    guard unsafe madvise(start, pages.count * 4096, advice) == 0 else {
      throw SystemFailure(call: "madvise \(advice)", number: errno)
    }
  }

  /// Frees pages in the way that zeroes them.
  func discard(_ pages: Range<Int>) throws {
    let isShared = backing == .memfd || backing == .hugetlb
    try advise(isShared ? SystemCalls.freeAndPunch : Int32(MADV_DONTNEED), pages)
  }

  func range(_ pages: Range<Int>) -> HostRange {
    let start = unsafe UInt(bitPattern: base)
    return HostRange(
      start: start + UInt(pages.lowerBound) * 4096, byteCount: pages.count * 4096)
  }

  var range: HostRange { range(0..<pageCount) }

  func store(_ value: UInt8, _ page: Int) {
    unsafe base.storeBytes(of: value, toByteOffset: page * 4096 + 17, as: UInt8.self)
  }

  func load(_ page: Int) -> UInt8 {
    unsafe base.load(fromByteOffset: page * 4096 + 17, as: UInt8.self)
  }

  /// Bit 63 of the page's entry in /proc/PID/pagemap. mincore(2) also counts what is on its way to
  /// swap.
  func isInPageTables(_ page: Int) throws -> Bool {
    let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: "/proc/thread-self/pagemap"))
    try file.seek(toOffset: UInt64(range.start / 4096 + UInt(page)) * 8)
    guard let entry = try file.read(upToCount: 8), entry.count == 8 else {
      throw SystemFailure(call: "read pagemap", number: EIO)
    }
    return entry[entry.startIndex + 7] & 0x80 != 0
  }

  /// What a write to `pages` marks, huge pages counted in.
  func marked(_ pages: some Sequence<Int>) -> Set<Int> {
    let unit = backing.pagesPerWrite
    return Set(pages.flatMap { $0 / unit * unit..<$0 / unit * unit + unit })
  }
}

extension WriteProtection {
  /// The pages that `readWrittenPages` has marked.
  func writtenPages(of range: HostRange) throws -> Set<Int> {
    let pageCount = range.byteCount / 4096
    var words = [UInt64](repeating: 0, count: (pageCount + 63) / 64)
    var span = words.mutableSpan
    try readWrittenPages(of: range, into: &span)
    return Set(
      (0..<words.count * 64).filter { words[$0 / 64] & 1 << UInt64($0 % 64) != 0 })
  }
}

/// Whether something may be swapped out.
let hasSwap =
  ((try? String(contentsOfFile: "/proc/swaps", encoding: .utf8)) ?? "").split(separator: "\n")
  .count > 1
