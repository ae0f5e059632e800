internal import KVM
internal import ZeroTracker

/// KVM's dirty log as the source of guest-written pages.
///
/// Logging is on from each slot's creation, so the log begins empty and holds exactly what the
/// guest, and KVM on its behalf, wrote. It does not see this process's own writes: those are the
/// touched map's. Where manual protect is missing a read resets the log; the tracker keeps the bits
/// it saw, so nothing is lost. Source: KVM API, KVM_GET_DIRTY_LOG.
///
/// Thread-safe: the tracker calls it one call at a time, and `DirtyLog` serialises the rest.
final class DirtyLogSource: WrittenPageSource {
  private let log: DirtyLog

  /// - Parameter log: one that is the tracker's.
  init(_ log: DirtyLog) {
    self.log = log
  }

  func readWrittenPages(of region: PageRange, into words: inout MutableSpan<UInt64>) throws {
    guard let number = log.number(of: region) else {
      if try log.addWritten(ofAdded: region, to: &words) { return }
      throw MachineError.configuration(
        "no memory slot for GPN \(region.start.rawValue)+\(region.pageCount)")
    }
    try log.addWritten(ofSlot: number, to: &words)
  }

  func stop() throws { try log.endTracking() }

  func forget(_ range: PageRange) -> Bool { log.forget(range) }
}
