/// Whether a guest that triple faults again and again gets anywhere: five times in ten seconds it
/// does not.
struct TripleFaultLimit {
  static let count = 5
  static let nanoseconds: UInt64 = 10_000_000_000

  private var times: [UInt64] = []

  /// Notes one, at a time of a clock that never goes back.
  ///
  /// - Returns: whether it is the last that is put up with.
  mutating func note(at now: UInt64) -> Bool {
    times = times.suffix(Self.count - 1) + [now]
    return times.count == Self.count && now &- times[0] <= Self.nanoseconds
  }
}
