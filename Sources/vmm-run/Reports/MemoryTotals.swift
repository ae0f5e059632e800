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
