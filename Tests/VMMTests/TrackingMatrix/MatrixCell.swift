import GuestMemory
import MachineSpecification
import Testing
import VMM

/// One machine of the matrix: everything but who writes, because all writers are in each of them.
struct MatrixMachine: Codable, CustomTestStringConvertible {
  var backing: String
  var usesTransparentHugePages = false
  var isPreallocated: Bool
  var isSwappedOut: Bool
  var source: String
  var granularityBytes: UInt64

  var testDescription: String {
    "\(backingName)\(isPreallocated ? " preallocated" : "")\(isSwappedOut ? " swapped out" : "")"
      + ", \(source), \(granularityBytes >> 10) KiB"
  }

  var backingName: String { usesTransparentHugePages ? backing + " THP" : backing }

  /// All machines that this host can make.
  static func all(granularities: [UInt64]) -> [MatrixMachine] {
    var machines: [MatrixMachine] = []
    let backings = [
      ("anonymous", false), ("anonymous", true), ("memfd", false), ("hugetlb", false),
    ]
    for (backing, usesTransparentHugePages) in backings {
      if backing == "hugetlb" && !MatrixHost.hasHugePages { continue }
      for isPreallocated in [false, true] {
        for isSwappedOut in [false, true] {
          // hugetlb memory is never swapped.
          if isSwappedOut && (!MatrixHost.hasSwap || backing == "hugetlb") { continue }
          for source in Host.sources {
            for granularity in granularities {
              machines.append(
                MatrixMachine(
                  backing: backing, usesTransparentHugePages: usesTransparentHugePages,
                  isPreallocated: isPreallocated, isSwappedOut: isSwappedOut,
                  source: source.rawValue, granularityBytes: granularity))
            }
          }
        }
      }
    }
    return machines
  }
}

/// Who writes, each in an area of 32 MiB of its own: one chunk of the coarsest granularity.
enum MatrixWriter: String, CaseIterable, Codable {
  /// The VMM, by a store through `GuestMemory`.
  case vmmStore = "VMM store"
  case guestStore = "guest store"
  /// Nobody: the guest only reads.
  case guestRead = "guest read only"
  /// The kernel for the VMM: read(2) by `GuestMemory.readFile`.
  case readFile = "read(2) by the VMM"
  /// The kernel for somebody else, by the address of the mapping, as vhost does.
  case foreignWrite = "kernel write past the VMM"
  /// KVM itself: hypercall page, reference TSC page, kvmclock.
  case kvm = "KVM itself"
  /// A device of this machine, during an exit.
  case deviceDMA = "device DMA"

  static let areaByteCount: UInt64 = 32 << 20
  static let memoryByteCount = areaByteCount * UInt64(1 + allCases.count)

  /// GPA of the area's first byte; the first 32 MiB are the guest's own.
  var start: UInt64 {
    Self.areaByteCount * UInt64(1 + Self.allCases.firstIndex(of: self)!)
  }

  /// What is written: a block of 24 pages, and 8 pages 2 MiB apart.
  var block: (address: UInt64, pageCount: UInt64) { (start + (5 << 20), 24) }
  var scattered: (address: UInt64, count: UInt64, stride: UInt64) {
    (start + (9 << 20) + 0x3000, 8, 2 << 20)
  }
  var writtenAddresses: [UInt64] {
    (0..<block.pageCount).map { block.address + $0 * 4096 }
      + (0..<scattered.count).map { scattered.address + $0 * scattered.stride }
  }
}

/// What somebody called zero of one area, against the truth.
struct MatrixShare: Codable {
  /// Zero pages that were called zero.
  var zeroPages = 0
  /// Pages with other bytes that were called zero: each one a lie.
  var falsePages = 0
}

/// One cell: a machine, a writer, and what everybody said of the writer's area.
struct MatrixCell: Codable {
  var kvm: String
  var machine: MatrixMachine
  var writer: MatrixWriter
  var zeroPages: Int
  var nonZeroPages: Int
  /// The answer to the guest's 0x8002.
  var answer: MatrixShare
  /// All ranges, before refinement and without the limit of 255.
  var unrefined: MatrixShare
  var mincore: MatrixShare
  /// Neither present nor swapped in /proc/self/pagemap.
  var pagemap: MatrixShare
  /// Holes of the shared memory file; nil for anonymous memory, which has no file.
  var seekData: MatrixShare?
}
