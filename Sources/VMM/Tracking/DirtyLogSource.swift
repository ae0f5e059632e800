internal import KVM
internal import Synchronization
internal import ZeroTracker

/// KVM's dirty log as the source of guest-written pages.
///
/// Logging is on from each slot's creation, so the log begins empty and holds exactly what the
/// guest, and KVM on its behalf, wrote. It does not see this process's own writes: those are the
/// touched map's. Where manual protect is missing a read resets the log; the tracker keeps the bits
/// it saw, so nothing is lost. Source: KVM API, KVM_GET_DIRTY_LOG.
///
/// Thread-safe: the tracker calls it one call at a time, and KVM serialises the rest.
final class DirtyLogSource: WrittenPageSource {
  private let machine: VirtualMachine
  private let slots: [MemorySlot]
  private let hasSystemManagement: Bool
  private let isManual: Bool

  /// - Parameters:
  ///   - slots: one for each region of the tracker, in its order, registered with logging on.
  ///   - hasSystemManagement: whether the same memory has slots for system management mode, too,
  ///     which log what is written in that mode.
  init(
    machine: VirtualMachine, slots: [MemorySlot], hasSystemManagement: Bool, isManual: Bool
  ) {
    self.hasSystemManagement = hasSystemManagement
    self.machine = machine
    self.slots = slots
    self.isManual = isManual
  }

  func readWrittenPages(of region: PageRange, into words: inout MutableSpan<UInt64>) throws {
    let slot = try slot(of: region)
    for slot in spaces(of: slot) { try machine.addDirtyLog(of: slot, to: &words) }
  }

  func stop() throws {
    for slot in slots.flatMap({ spaces(of: $0) }) {
      try machine.setMemorySlot(slot, options: [])
    }
  }

  func forget(_ range: PageRange) -> Bool {
    // KVM_CLEAR_DIRTY_LOG goes by whole words of 64 pages. Without manual protect a read resets
    // the log and arms it again, for all pages at once: then nothing is forgotten.
    guard isManual, range.start.rawValue % 64 == 0, range.pageCount % 64 == 0,
      let slot = slots.first(where: { $0.contains(range) })
    else { return false }
    var page = range.start.rawValue - slot.guestPhysicalAddress / 4096
    var remaining = range.pageCount
    while remaining > 0 {
      let count = UInt32(min(remaining, 1 << 20))
      do {
        for slot in spaces(of: slot) {
          try machine.clearDirtyLog(of: slot, firstPage: page, pageCount: count)
        }
      } catch {
        return false
      }
      page += UInt64(count)
      remaining -= UInt64(count)
    }
    return true
  }

  /// A slot, with the one of the other address space.
  private func spaces(of slot: MemorySlot) -> [MemorySlot] {
    hasSystemManagement ? [slot, slot.inSystemManagementMode] : [slot]
  }

  private func slot(of region: PageRange) throws(MachineError) -> MemorySlot {
    guard
      let slot = slots.first(where: { $0.contains(region) && $0.pageCount == region.pageCount })
    else {
      throw .configuration("no memory slot for GPN \(region.start.rawValue)+\(region.pageCount)")
    }
    return slot
  }
}

extension MemorySlot {
  /// Whether all of `range` lies in the slot.
  fileprivate func contains(_ range: PageRange) -> Bool {
    let first = guestPhysicalAddress / 4096
    return range.start.rawValue >= first && range.end.rawValue <= first + pageCount
  }
}
