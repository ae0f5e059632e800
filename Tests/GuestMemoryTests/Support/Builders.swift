import Glibc
import GuestMemory
import TestSupport
import ZeroTracker

let mebibyte: UInt64 = 1 << 20
let gibibyte: UInt64 = 1 << 30

/// Guest memory with a quiet guest attached and a touched map of 4 KiB.
func makeMemory(
  _ byteCount: UInt64 = 16 * mebibyte, _ backing: MemoryBacking = .anonymous,
  preallocated: Bool = false, granularity: UInt64 = 4096
) throws -> GuestMemory {
  let memory = try GuestMemory(
    layout: GuestMemoryLayout(ramByteCount: byteCount), backing: backing,
    preallocated: preallocated, granularity: TrackingGranularity(byteCount: granularity))
  memory.tracker.attach(source: QuietGuest())
  return memory
}

extension GuestMemory {
  /// Whether all bytes are 0; as fast in a debug build as in any.
  func isZero(at address: GPA, byteCount: Int) -> Bool {
    withBytes(at: address, byteCount: byteCount) { bytes in
      unsafe bytes.withUnsafeBytes { bytes in
        guard let base = bytes.baseAddress, let first = unsafe bytes.first else { return true }
        // Every byte equals the one before it.
        return unsafe first == 0 && memcmp(base, base + 1, bytes.count - 1) == 0
      }
    } == true
  }

  /// The pages that would not be reported, lowest first.
  var withheldPages: [UInt64] {
    let reported = tracker.zeroedRanges(replyPage: nil, limit: .max)
    return layout.regions.flatMap { region in
      (region.pages.start.rawValue..<region.pages.end.rawValue).filter { page in
        !reported.contains { $0.contains(GPN(rawValue: page)) }
      }
    }
  }
}
