internal import HostSystem
internal import KVM
internal import ZeroTracker

/// KVM's dirty log of a machine's memory, with all who read it: the tracker, for which a page that
/// was written stays so, and a migration, for which it is news until it was read.
///
/// Only a migration clears the log, and what it clears is kept for the tracker. Where manual
/// protect is missing each reading clears it, so the tracker's readings are kept for the migration
/// as well. No memory is added while a migration has the log (`MemoryGrowth.hold`).
///
/// Any thread. The tracker calls with its own lock held; nobody is called back.
final class DirtyLog: Sendable {
  private struct State {
    var isTracked: Bool
    var isMigrating = false
    /// For the tracker, of each slot a bit per page: written, and no longer in the log. None of
    /// slots from which nothing was ever taken.
    var kept: [[UInt64]] = []
    /// For the migration: written, and no longer in the log, as the tracker read it.
    var pending: [[UInt64]] = []
    /// Of memory that was added, one for each piece, ascending, without a gap.
    var added: [MemorySlot] = []
  }

  private let machine: VirtualMachine
  private let slots: [MemorySlot]
  private let hasSystemManagement: Bool
  private let isManual: Bool
  private let state: Guarded<State>

  /// - Parameters:
  ///   - slots: one for each region of memory, in its order, registered; with logging on if
  ///     `isTracked`.
  ///   - hasSystemManagement: whether the same memory has slots for system management mode, too,
  ///     which log what is written in that mode.
  ///   - isManual: whether reading leaves the log as it is.
  ///   - isTracked: whether the log is the tracker's source.
  init(
    machine: VirtualMachine, slots: [MemorySlot], hasSystemManagement: Bool, isManual: Bool,
    isTracked: Bool
  ) {
    self.machine = machine
    self.slots = slots
    self.hasSystemManagement = hasSystemManagement
    self.isManual = isManual
    state = Guarded(State(isTracked: isTracked))
  }

  /// The number of the slot that is exactly these pages; nil if there is none.
  func number(of region: PageRange) -> Int? {
    slots.firstIndex { $0.contains(region) && $0.pageCount == region.pageCount }
  }

  /// Registers the slot of the next piece of memory that is added: the guest has it from then on.
  /// Its log begins empty. If it fails the guest has none of it.
  func add(_ slot: MemorySlot) throws(KVMError) {
    try state.withLock { (state) throws(KVMError) in
      do throws(KVMError) {
        try setLogging(state.isTracked, of: [slot])
      } catch {
        // One that is not there cannot be removed.
        for slot in spaces(of: slot) { try? machine.removeMemorySlot(slot) }
        throw error
      }
      state.added.append(slot)
    }
  }

  // MARK: The tracker

  /// The same for memory that was added.
  ///
  /// - Parameter region: the first pieces of it.
  /// - Returns: false if they do not have slots.
  func addWritten(
    ofAdded region: PageRange, to words: inout MutableSpan<UInt64>
  ) throws(KVMError) -> Bool {
    let added = state.withLock { $0.added }
    let parts = parts(ofRegion: slots.count, added)
    guard let first = parts.first?.slot, let last = parts.last?.slot,
      first.firstPage == region.start.rawValue,
      region.end.rawValue <= last.firstPage + last.pageCount
    else { return false }
    for part in parts where part.slot.firstPage < region.end.rawValue {
      try addWritten(of: part, to: &words)
    }
    return true
  }

  /// Adds all that the guest wrote since the machine was made, or since it was forgotten.
  func addWritten(ofSlot number: Int, to words: inout MutableSpan<UInt64>) throws(KVMError) {
    try addWritten(of: Part(number: number, slot: slots[number], place: 0), to: &words)
  }

  private func addWritten(
    of part: Part, to words: inout MutableSpan<UInt64>
  ) throws(KVMError) {
    if isManual {
      // In this order: what a migration takes from the log is kept before it is cleared.
      if part.number < slots.count {
        for slot in spaces(of: part.slot) { try machine.addDirtyLog(of: slot, to: &words) }
      } else {
        Self.add(try read(part.slot), to: &words, at: part.place)
      }
    } else {
      // A reading clears: a migration that begins meanwhile is to have it, or to read it itself.
      let log = try state.withLock { (state) throws(KVMError) in
        let log = try read(part.slot)
        if state.isMigrating { Self.add(log, to: &state.pending[part.number]) }
        return log
      }
      Self.add(log, to: &words, at: part.place)
    }
    let kept = state.withLock { part.number < $0.kept.count ? $0.kept[part.number] : [] }
    Self.add(kept, to: &words, at: part.place)
  }

  /// Forgets pages that are about to be discarded: see `WrittenPageSource.forget`. A migration
  /// hears of them by the log of our own writes.
  func forget(_ range: PageRange) -> Bool {
    // KVM_CLEAR_DIRTY_LOG goes by whole words of 64 pages. Without manual protect a read resets
    // the log and arms it again, for all pages at once: then nothing is forgotten.
    guard isManual, range.start.rawValue % 64 == 0, range.pageCount % 64 == 0 else { return false }
    return state.withLock { state in
      let all = slots + state.added
      guard let number = all.firstIndex(where: { $0.contains(range) }) else { return false }
      let slot = all[number]
      let first = range.start.rawValue - slot.firstPage
      if number < state.kept.count {
        for word in Int(first / 64)..<Int((first + range.pageCount) / 64) {
          state.kept[number][word] = 0
        }
      }
      return clear(slot, first, range.pageCount)
    }
  }

  private func clear(_ slot: MemorySlot, _ first: UInt64, _ pageCount: UInt64) -> Bool {
    var (page, remaining) = (first, pageCount)
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

  /// The tracker asks no more. The log goes, unless a migration has it.
  func endTracking() throws(KVMError) {
    try state.withLock { (state) throws(KVMError) in
      state.isTracked = false
      state.kept = []
      if !state.isMigrating { try setLogging(false, of: slots + state.added) }
    }
  }

  // MARK: A migration

  /// Begins to note what the guest writes from now on, for `takeWritten`. One at a time.
  func beginMigration() throws(KVMError) {
    try state.withLock { (state) throws(KVMError) in
      let all = slots + state.added
      let none = all.map { [UInt64](repeating: 0, count: Int(($0.pageCount + 63) / 64)) }
      if !state.isTracked { try setLogging(true, of: all) }
      state.isMigrating = true
      state.pending = none
      if state.isTracked { state.kept += none[state.kept.count...] }
    }
  }

  /// Adds the pages that the guest wrote since the last call to `bits`. What is read of them
  /// afterwards has the bytes of all those writes; later ones are noted anew.
  ///
  /// - Parameter region: the number of one of memory's, or behind them all that was added.
  func takeWritten(ofRegion region: Int, into bits: inout [UInt64]) throws(KVMError) {
    try state.withLock { (state) throws(KVMError) in
      for part in parts(ofRegion: region, state.added) {
        for slot in spaces(of: part.slot) {
          let log = try readOne(slot)
          // Before it is cleared: should that fail, nothing is lost.
          Self.add(log, to: &bits, at: part.place)
          if state.isTracked { Self.add(log, to: &state.kept[part.number]) }
          if isManual { try machine.clearDirtyLog(of: slot, words: log) }
        }
        let pending = state.pending[part.number]
        Self.add(pending, to: &bits, at: part.place)
        if state.isTracked { Self.add(pending, to: &state.kept[part.number]) }
        state.pending[part.number] = Array(repeating: 0, count: pending.count)
      }
    }
  }

  /// Ends it: the log goes, unless the tracker has it.
  func endMigration() {
    state.withLock { state in
      guard state.isMigrating else { return }
      state.isMigrating = false
      state.pending = []
      // Logging that stays on costs the guest time, and nothing else.
      if !state.isTracked { try? setLogging(false, of: slots + state.added) }
    }
  }

  // MARK: The log

  private func setLogging(_ isOn: Bool, of slots: [MemorySlot]) throws(KVMError) {
    for slot in slots.flatMap({ spaces(of: $0) }) {
      try machine.setMemorySlot(slot, options: isOn ? .logsDirtyPages : [])
    }
  }

  /// A slot, its number among all, and the first word that it has of its region's.
  private struct Part {
    let number: Int
    let slot: MemorySlot
    let place: Int
  }

  /// Those of a region of memory; behind all regions those of what was added.
  private func parts(ofRegion region: Int, _ added: [MemorySlot]) -> [Part] {
    guard region == slots.count else {
      return [Part(number: region, slot: slots[region], place: 0)]
    }
    guard let first = added.first else { return [] }
    return added.enumerated().map { index, slot in
      // Pieces are made of whole words.
      Part(
        number: slots.count + index, slot: slot,
        place: Int(slot.firstPage - first.firstPage) / 64)
    }
  }

  /// The log of all address spaces of a slot.
  private func read(_ slot: MemorySlot) throws(KVMError) -> [UInt64] {
    var words: [UInt64] = []
    for slot in spaces(of: slot) {
      let log = try readOne(slot)
      if words.isEmpty { words = log } else { Self.add(log, to: &words) }
    }
    return words
  }

  private func readOne(_ slot: MemorySlot) throws(KVMError) -> [UInt64] {
    var log = [UInt64](repeating: 0, count: Int((slot.pageCount + 63) / 64))
    var span = log.mutableSpan
    try machine.readDirtyLog(of: slot, into: &span)
    return log
  }

  /// - Parameter place: where the log's first word goes.
  private static func add(_ log: [UInt64], to words: inout [UInt64], at place: Int = 0) {
    for index in log.indices where log[index] != 0 { words[place + index] |= log[index] }
  }

  private static func add(_ log: [UInt64], to words: inout MutableSpan<UInt64>, at place: Int) {
    for index in log.indices where log[index] != 0 { words[place + index] |= log[index] }
  }

  /// A slot, with the one of the other address space.
  private func spaces(of slot: MemorySlot) -> [MemorySlot] {
    hasSystemManagement ? [slot, slot.inSystemManagementMode] : [slot]
  }
}

extension MemorySlot {
  fileprivate var firstPage: UInt64 { guestPhysicalAddress / 4096 }

  /// Whether all of `range` lies in the slot.
  fileprivate func contains(_ range: PageRange) -> Bool {
    range.start.rawValue >= firstPage && range.end.rawValue <= firstPage + pageCount
  }
}
