/// Consecutive 4 KiB pages of guest memory that were not reported as zero, and why.
struct UnreportedRange: Codable, Equatable, Sendable {
  /// The raw values are those of `demo --json`.
  enum Reason: String, Codable, CaseIterable, Sendable {
    case touchedByVMM = "touched-by-vmm"
    case claimed
    case writtenByGuest = "written-by-guest"
    case notAmongTheLargest = "zero-but-not-among-the-largest"
    /// Zero, but the guest did not ask.
    case notAsked = "not-asked"
    /// What the guest had written was not known any more.
    case trackingEnded = "tracking-ended"

    /// For reading.
    var text: String {
      switch self {
      case .touchedByVMM: "touched by the VMM"
      case .claimed: "claimed for good"
      case .writtenByGuest: "written by the guest"
      case .notAmongTheLargest: "zero, but not among the largest"
      case .notAsked: "zero, but the guest did not ask"
      case .trackingEnded: "not known: tracking had ended"
      }
    }
  }

  var startPage: UInt64
  var pageCount: UInt64
  var reason: Reason

  var byteCount: UInt64 { pageCount * 4096 }
}
