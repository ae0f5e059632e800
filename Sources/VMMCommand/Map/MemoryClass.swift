/// What became of a block of guest memory, for drawing it. The order is that of the legend, and
/// of the parts within a mixed cell.
enum MemoryClass: Int, CaseIterable, Sendable {
  /// Written on the VMM's behalf: loaders, devices, replies to hypercalls.
  case vmmTouched
  /// Withheld for good: lent to a writer that is not tracked.
  case claimed
  case guestWritten
  case reportedZero
  /// Still zero, but not reported: too small, too scattered, or the space in the reply
  /// had run out.
  case zeroNotReported
  /// What the guest had written was not known.
  case unknown
  /// Guest physical addresses without memory, such as the hole for devices below 4 GiB.
  case notRAM

  var title: String {
    switch self {
    case .vmmTouched: "touched by the VMM"
    case .claimed: "claimed for good"
    case .guestWritten: "written by the guest"
    case .reportedZero: "reported as zero"
    case .zeroNotReported: "zero, not reported"
    case .unknown: "not known"
    case .notRAM: "not memory"
    }
  }
}
