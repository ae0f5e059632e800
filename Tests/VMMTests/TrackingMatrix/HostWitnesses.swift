import Foundation
import GuestMemory
import KVM
import TestSupport
import VMM

@testable import GuestMemory

/// What the host kernel's own interfaces say of guest memory: the answers that were proposed
/// elsewhere.
struct HostWitnesses {
  /// One flag per page from GPA 0: called zero.
  let mincore: [Bool]
  let pagemap: [Bool]
  let seekData: [Bool]?

  init(_ memory: GuestMemory) throws {
    precondition(memory.mappings.count == 1, "one region expected")
    let mapping = memory.mappings[0]
    let pageCount = mapping.byteCount / 4096
    var vector = [UInt8](repeating: 0, count: pageCount)
    // SAFETY: one byte per page of the mapping, as mincore(2) wants.
    let result = unsafe Glibc.mincore(
      UnsafeMutableRawPointer(bitPattern: mapping.hostAddress), mapping.byteCount, &vector)
    guard result == 0 else { throw MatrixFailure("mincore: errno \(errno)") }
    mincore = vector.map { $0 & 1 == 0 }
    var pagemap: [Bool] = []
    let file = try FileHandle(forReadingFrom: URL(filePath: "/proc/self/pagemap"))
    try file.seek(toOffset: UInt64(mapping.hostAddress) / 4096 * 8)
    let bytes = [UInt8](try file.read(upToCount: pageCount * 8) ?? Data())
    // Byte 7 has bit 63, present, and bit 62, swapped.
    for page in 0..<pageCount { pagemap.append(bytes[page * 8 + 7] & 0xC0 == 0) }
    self.pagemap = pagemap
    seekData = mapping.descriptor < 0 ? nil : Self.holes(mapping.descriptor, pageCount)
  }

  private static func holes(_ descriptor: Int32, _ pageCount: Int) -> [Bool] {
    // Values of SEEK_DATA and SEEK_HOLE: linux/fs.h.
    var isHole = [Bool](repeating: true, count: pageCount)
    var next: off_t = 0
    while true {
      let data = lseek(descriptor, next, 3)
      guard data >= 0 else { return isHole }
      let hole = lseek(descriptor, data, 4)
      for page in Int(data / 4096)..<Int((hole + 4095) / 4096) { isHole[page] = false }
      next = hole
    }
  }
}

struct MatrixFailure: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) {
    self.description = description
  }
}

/// What this host has for the matrix.
enum MatrixHost {
  static let hasSwap: Bool = {
    let text = (try? String(contentsOfFile: "/proc/swaps", encoding: .utf8)) ?? ""
    return text.split(separator: "\n").count > 1
  }()

  static let freeHugePageByteCount: UInt64 = {
    let path = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"
    let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
    return (UInt64(text.filter(\.isNumber)) ?? 0) << 21
  }()

  /// Enough free 2 MiB pages for the memory of one machine.
  static let hasHugePages = freeHugePageByteCount >= MatrixWriter.memoryByteCount

  /// Asks the kernel to swap all of the memory out, and to let go of what it still caches of it.
  static func swapOut(_ memory: GuestMemory) throws {
    let mapping = memory.mappings[0]
    // MADV_PAGEOUT of asm-generic/mman-common.h.
    let result = unsafe madvise(
      UnsafeMutableRawPointer(bitPattern: mapping.hostAddress), mapping.byteCount, 21)
    guard result == 0 else { throw MatrixFailure("MADV_PAGEOUT: errno \(errno)") }
    // What was written out stays in the swap cache until somebody reclaims it; where the kernel
    // offers no such request it stays there, which only favours mincore.
    for _ in 0..<10 {
      TestThreads.nap(microseconds: 50_000)
      guard let file = FileHandle(forWritingAtPath: "/sys/fs/cgroup/memory.reclaim") else { return }
      // Reclaiming less than asked for is reported as an error.
      try? file.write(contentsOf: Data("16M".utf8))
    }
  }
}
