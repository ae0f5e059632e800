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
