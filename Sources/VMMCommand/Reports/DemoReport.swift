import FoundationEssentials

/// What one run of the demo guest measured. The property names are the keys of `demo --json`.
struct DemoReport: Codable, Equatable, Sendable {
  /// Processor time of all vCPU threads, in clock ticks, from /proc/self/task/TID/stat.
  struct VCPUTicks: Codable, Equatable, Sendable {
    var user: UInt64
    /// Includes what the kernel did for the guest, such as filling pages it touched.
    var system: UInt64

    var total: UInt64 { user &+ system }
  }

  /// The transport of the Hyper-V interface: `kernel` or `userspace`.
  var hyperv: String
  /// Whether the guest was offered boot-zeroed memory at all.
  var offersZeroedMemory: Bool
  var vcpuCount: Int
  var memoryBytes: UInt64
  /// What holds guest memory: `anonymous`, `memfd` or `hugetlb`.
  var backing: String
  var preallocated: Bool
  /// What knew which pages the guest had written, such as `the dirty log`.
  var writtenPageSource: String
  var granularityBytes: UInt64
  /// The answer to 0x8001; 0 when the guest did not get one.
  var capabilities: UInt64
  /// The answer to 0x8002.
  var reportedRanges: [ReportedRange]
  var reportedBytes: UInt64
  /// What became of memory, when the guest asked or else when it was done; nil without `--json`.
  var memory: MemoryTotals?
  /// What was not reported, the largest by address; nil without `--json`.
  var unreported: [UnreportedRange]?
  /// How many smaller ones there are besides.
  var unreportedOmitted: UInt64?
  /// What the guest zeroed by itself.
  var guestZeroedBytes: UInt64
  /// Reported pages in which the guest then found a byte that was not zero. Anything but 0 is a
  /// bug.
  var nonZeroReportedPages: UInt64
  /// Guest memory that occupies the host's when the guest is done.
  var residentBytes: UInt64
  var vcpuTicks: VCPUTicks
  /// How many of `vcpuTicks` make a second.
  var ticksPerSecond: UInt64 = 100
  var elapsedSeconds: Double

  var reportedPageCount: UInt64 { reportedBytes / 4096 }
  var isTruthful: Bool { nonZeroReportedPages == 0 }
  var vcpuSeconds: Double { seconds(vcpuTicks.total) }

  func seconds(_ ticks: UInt64) -> Double {
    Double(ticks) / Double(max(1, ticksPerSecond))
  }
}

/// Consecutive 4 KiB pages of guest memory, as reported to the guest.
struct ReportedRange: Codable, Equatable, Sendable {
  /// The guest page number of the first.
  var startPage: UInt64
  var pageCount: UInt64
}

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

/// What became of guest memory, each byte counted once: as the first of these that holds.
struct MemoryTotals: Codable, Equatable, Sendable {
  var reportedBytes: UInt64
  var claimedBytes: UInt64
  var guestWrittenBytes: UInt64
  /// Whole chunks of the tracking granularity.
  var vmmTouchedBytes: UInt64
  var zeroNotReportedBytes: UInt64
  /// Guest writes were not known; 0 unless tracking had ended.
  var unknownBytes: UInt64
}

/// Why memory was not reported as zero.
struct MemoryExplanation: Equatable, Sendable {
  /// Enough for any demo; keeps the report of a scattered guest readable.
  static let maximumRangeCount = 4096

  var totals: MemoryTotals
  /// The largest ones, ascending by address.
  var unreported: [UnreportedRange]
  var omittedCount: UInt64
}

/// The form of every report that `--json` prints: stable order, readable, one final line break.
enum ReportJSON {
  static func text(_ report: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(report), as: UTF8.self) + "\n"
  }
}
