/// Consecutive 4 KiB pages of guest memory, as reported to the guest.
struct ReportedRange: Codable, Equatable, Sendable {
  /// The guest page number of the first.
  var startPage: UInt64
  var pageCount: UInt64
}
