import Synchronization

extension ZeroTracker {
  /// The state as bytes, to be saved beside guest memory; docs/tracker-state.md has the format.
  ///
  /// Reads the source. Versioned, with a checksum, a few bytes for memory that was never written.
  /// If tracking is off (no source, stopped) or the source fails, the encoding says so, and a
  /// tracker restored from it reports nothing. The last answer and the owners of claims are not in
  /// it. Any thread.
  ///
  /// For `RestoredMemory.exact` the caller keeps vCPUs, devices and every other writer at rest from
  /// before this call until guest memory is saved.
  public func encodedState() -> [UInt8] {
    state.withLock { $0.encoded(granularity: granularity) }
  }

  /// Takes over an encoded state, before a source is attached.
  ///
  /// With `.exact` memory the touched, claimed and written pages of the state are added to those of
  /// this tracker. Then attach a source that begins empty, such as a new machine's dirty log. With
  /// `.unknown` memory tracking ends at once and nothing is ever reported; the bytes are not read.
  /// Tracking ends too if the state says that guest writes were not known.
  ///
  /// Whenever tracking ended here, also by an error, a source may still be attached as usual; it is
  /// kept for `stop` and never asked.
  ///
  /// - Parameters:
  ///   - bytes: any bytes; what is wrong with them is an error, never a trap.
  ///   - memory: what the caller knows of guest memory.
  /// - Throws: `TrackerStateError`; nothing is reported from then on, by no call: a caller that
  ///   goes on without the state does not know what memory holds. A source attached already
  ///   is stopped.
  public func restore(
    _ bytes: [UInt8], memory: RestoredMemory
  ) throws(TrackerStateError) {
    let error: TrackerStateError? = state.withLock { state in
      do throws(TrackerStateError) {
        guard state.phase == .unattached else { throw .tooLate }
        if memory == .exact {
          let saved = try TrackerStateFormat(bytes, regions: regions, granularity: granularity)
          state.take(saved)
          if saved.isComplete { return nil }
        }
        state.endByRestore()
        return nil
      } catch {
        state.endByRestore()
        tracking.store(false, ordering: .relaxed)
        return error
      }
    }
    if let error { throw error }
  }
}

extension TrackerState {
  fileprivate mutating func encoded(granularity: TrackingGranularity) -> [UInt8] {
    // Before the touched maps are copied, as for an answer.
    let isComplete = readSource()
    return TrackerStateFormat(
      isComplete: isComplete, granularity: granularity,
      regions: regions.filter { !$0.range.isEmpty }.map(\.bitmaps)
    ).encoded()
  }

  fileprivate mutating func take(_ saved: TrackerStateFormat) {
    // One that grows has nothing yet to restore to.
    for (index, region) in saved.regions.enumerated() { regions[index].add(region) }
  }

  fileprivate mutating func endByRestore() {
    isEndedByRestore = true
    // If the source does not stop now, the embedder's `stop` tries again.
    try? stop()
  }
}

extension TrackedRegion {
  fileprivate var bitmaps: TrackerStateFormat.Region {
    // Without the words for pages that are no RAM yet.
    let shift = touched.granularity.pageShift
    let count = ((Int(range.pageCount) - 1) >> (shift + 6)) + 1
    return .init(
      range: range, touched: Array(touched.copy().prefix(count)),
      claimed: Array(claimed.prefix(count)), written: latest)
  }

  /// Adds the pages of a saved state.
  fileprivate mutating func add(_ saved: TrackerStateFormat.Region) {
    add(claimedWords: saved.claimed, writtenWords: saved.written)
    touched.withWords { words in
      for index in words.indices {
        // Claimed chunks are touched, whatever the bytes say.
        let bits = saved.touched[index] | saved.claimed[index]
        if bits != 0 { words[index].bitwiseOr(bits, ordering: .sequentiallyConsistent) }
      }
    }
  }
}

/// What is known of guest memory when an encoded state is restored.
public enum RestoredMemory: Sendable {
  /// Every byte is as it was when the state was encoded.
  case exact
  /// Nothing is known, as after migration to a host that does not say how it filled memory.
  case unknown
}
