internal import HostSystem
internal import KVM
internal import ZeroTracker

/// KVM's dirty log of a machine's memory, with all who read it: the tracker, for which a page that
/// was written stays so, and a migration, for which it is news until it was read.
///
/// Only a migration clears the log, and what it clears is kept for the tracker. Where manual
/// protect is missing each reading clears it, so the tracker's readings are kept for the migration
/// as well. Memory that is added while the machine runs is the tracker's alone: such a machine does
/// not move.
///
/// Any thread. The tracker calls with its own lock held; nobody is called back.
final class DirtyLog: Sendable {
  private struct State {
    var isTracked: Bool
    var isMigrating = false
    /// For the tracker, of each region a bit per page: written, and no longer in the log. Empty
    /// where nothing was ever taken from it.
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
    guard let first = added.first, let last = added.last,
      first.firstPage == region.start.rawValue,
      region.end.rawValue <= last.firstPage + last.pageCount
    else { return false }
    for slot in added where slot.firstPage < region.end.rawValue {
      // Pieces are made of whole words.
      let start = Int(slot.firstPage - first.firstPage) / 64
      for slot in spaces(of: slot) {
        let log = try read(slot)
        for index in log.indices where log[index] != 0 { words[start + index] |= log[index] }
      }
    }
    return true
  }

  /// Adds all that the guest wrote since the machine was made, or since it was forgotten.
  func addWritten(ofSlot number: Int, to words: inout MutableSpan<UInt64>) throws(KVMError) {
    if isManual {
      // In this order: what a migration takes from the log is kept before it is cleared.
      for slot in spaces(of: slots[number]) { try machine.addDirtyLog(of: slot, to: &words) }
    } else {
      // A reading clears: a migration that begins meanwhile is to have it, or to read it itself.
      let log = try state.withLock { (state) throws(KVMError) in
        let log = try read(number)
        if state.isMigrating { Self.add(log, to: &state.pending[number]) }
        return log
      }
      Self.add(log, to: &words)
    }
    let kept = state.withLock { $0.kept.isEmpty ? [] : $0.kept[number] }
    Self.add(kept, to: &words)
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
      try setLogging(false, of: state.isMigrating ? state.added : slots + state.added)
    }
  }

  // MARK: A migration

  /// Begins to note what the guest writes from now on, for `takeWritten`. One at a time.
  func beginMigration() throws(KVMError) {
    try state.withLock { (state) throws(KVMError) in
      let none = slots.map { [UInt64](repeating: 0, count: Int(($0.pageCount + 63) / 64)) }
      if !state.isTracked { try setLogging(true, of: slots) }
      state.isMigrating = true
      state.pending = none
      if state.isTracked, state.kept.isEmpty { state.kept = none }
    }
  }

  /// Adds the pages that the guest wrote since the last call to `bits`. What is read of them
  /// afterwards has the bytes of all those writes; later ones are noted anew.
  func takeWritten(ofSlot number: Int, into bits: inout [UInt64]) throws(KVMError) {
    try state.withLock { (state) throws(KVMError) in
      for slot in spaces(of: slots[number]) {
        let log = try read(slot)
        // Before it is cleared: should that fail, nothing is lost.
        Self.add(log, to: &bits)
        if state.isTracked { Self.add(log, to: &state.kept[number]) }
        if isManual { try machine.clearDirtyLog(of: slot, words: log) }
      }
      for index in bits.indices { bits[index] |= state.pending[number][index] }
      if state.isTracked { Self.add(state.pending[number], to: &state.kept[number]) }
      state.pending[number] = Array(repeating: 0, count: state.pending[number].count)
    }
  }

  /// Ends it: the log goes, unless the tracker has it.
  func endMigration() {
    state.withLock { state in
      guard state.isMigrating else { return }
      state.isMigrating = false
      state.pending = []
      // Logging that stays on costs the guest time, and nothing else.
      if !state.isTracked { try? setLogging(false, of: slots) }
    }
  }

  // MARK: The log

  private func setLogging(_ isOn: Bool, of slots: [MemorySlot]) throws(KVMError) {
    for slot in slots.flatMap({ spaces(of: $0) }) {
      try machine.setMemorySlot(slot, options: isOn ? .logsDirtyPages : [])
    }
  }

  /// The log of all address spaces of a slot.
  private func read(_ number: Int) throws(KVMError) -> [UInt64] {
    var words: [UInt64] = []
    for slot in spaces(of: slots[number]) {
      let log = try read(slot)
      if words.isEmpty { words = log } else { Self.add(log, to: &words) }
    }
    return words
  }

  private func read(_ slot: MemorySlot) throws(KVMError) -> [UInt64] {
    var log = [UInt64](repeating: 0, count: Int((slot.pageCount + 63) / 64))
    var span = log.mutableSpan
    try machine.readDirtyLog(of: slot, into: &span)
    return log
  }

  private static func add(_ log: [UInt64], to words: inout [UInt64]) {
    for index in log.indices where log[index] != 0 { words[index] |= log[index] }
  }

  private static func add(_ log: [UInt64], to words: inout MutableSpan<UInt64>) {
    for index in log.indices where log[index] != 0 { words[index] |= log[index] }
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
