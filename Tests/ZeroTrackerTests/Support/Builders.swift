import ZeroTracker

func pages(_ start: UInt64, _ count: UInt64) -> PageRange {
  PageRange(start: GPN(rawValue: start), pageCount: count)
}

/// Every granularity there is: 4 KiB to 32 MiB.
let allGranularities = (12...25).map { granularity(1 << UInt64($0)) }

func granularity(_ byteCount: UInt64) -> TrackingGranularity {
  do {
    return try TrackingGranularity(byteCount: byteCount)
  } catch {
    preconditionFailure("\(error)")
  }
}

/// A tracker with a fake source attached.
func makeTracker(
  _ regions: [PageRange], _ byteCount: UInt64 = 4096
) throws -> (ZeroTracker, FakeDirtyLog) {
  let tracker = try ZeroTracker(regions: regions, granularity: granularity(byteCount))
  let log = FakeDirtyLog()
  tracker.attach(source: log)
  return (tracker, log)
}
