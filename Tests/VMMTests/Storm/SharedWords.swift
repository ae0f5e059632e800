import Glibc
import GuestMemory
import Synchronization
import VMM

/// 32-bit words of guest memory that vCPUs, VMM threads and the checker use at once.
///
/// They go around `GuestMemory`, which has no atomic access; so their pages are written through it
/// once, and thereby withheld from every answer, and are never discarded.
///
/// Sendable: the pointer never changes, and `memory` keeps what it points to. Words are read and
/// written whole: each is an aligned 32-bit access on all sides.
@safe
final class SharedWords: @unchecked Sendable {
  let count: Int
  private let memory: GuestMemory
  private let words: UnsafeMutablePointer<Atomic<UInt32>>

  init(_ memory: GuestMemory, at address: GPA, count: Int) throws {
    try memory.fill(at: address, byteCount: count * 4, with: 0)
    let region = memory.mappedRegions[0]
    precondition(region.start == GPA(0) && address.rawValue < region.byteCount)
    self.count = count
    self.memory = memory
    // SAFETY: `fill` has checked that the words are RAM, which is one region from 0 here.
    unsafe words = UnsafeMutablePointer(
      bitPattern: region.hostAddress + UInt(address.rawValue))!
  }

  /// Acquiring: what is read later is read later.
  func load(_ index: Int) -> UInt32 {
    precondition(index < count)
    return unsafe words[index].load(ordering: .acquiring)
  }

  /// Sequentially consistent: what was written before is visible before, and nothing that is done
  /// later happens earlier.
  func store(_ value: UInt32, at index: Int) {
    precondition(index < count)
    unsafe words[index].store(value, ordering: .sequentiallyConsistent)
  }

  /// Copies all words, each whole but not all at one instant.
  ///
  /// By memcpy, as a debug build takes a hundred times longer for a loop of atomic loads.
  func copy(into target: inout [UInt32]) {
    precondition(target.count == count)
    // SAFETY: both have `count` words of 32 bits.
    unsafe target.withUnsafeMutableBytes { target in
      _ = unsafe memcpy(target.baseAddress!, UnsafeRawPointer(words), count * 4)
    }
  }
}

/// Searches in copied words, by memchr for the same reason.
enum WordSearch {
  /// The first index in `range` whose word is `value`.
  static func first(_ value: UInt32, in words: [UInt32], _ range: Range<Int>) -> Int? {
    precondition(range.upperBound <= words.count)
    return unsafe words.withUnsafeBytes { bytes in
      var place = range.lowerBound * 4
      while place < range.upperBound * 4 {
        // SAFETY: from `place` to the end of the range, which lies in the words.
        let found = unsafe memchr(
          bytes.baseAddress! + place, Int32(value & 0xFF), range.upperBound * 4 - place)
        guard let found = unsafe found else { return nil }
        place = unsafe UnsafeRawPointer(found) - bytes.baseAddress!
        if place % 4 == 0, words[place / 4] == value { return place / 4 }
        place += 1
      }
      return nil
    }
  }
}
