internal import Bytes
internal import GuestMemory
internal import KVM
internal import ZeroTracker

/// Sends a machine's memory while it runs: once what is not zero, then what was written since,
/// again and again, and the last of it when the machine stands still.
///
/// What is to be sent is what two logs have noted: KVM's, of the guest's writes, and that of our
/// own (`WriteLog`). Bits are taken before pages are read: whatever changes a page after it was
/// read sets its bit anew. For one thread.
final class MemorySender {
  private let memory: GuestMemory
  private let log: DirtyLog
  private let channel: MigrationChannel
  /// What has changed since it was sent.
  private(set) var pending: PageBits
  /// What the destination has that is not zero.
  private var sent: PageBits
  private var batch: PageRange?
  private var buffer = [UInt8](repeating: 0, count: MigrationFrame.maximumPageCount * 4096)
  private var zeroRuns: [PageRange] = []
  private(set) var pageCount: UInt64 = 0
  private(set) var zeroPageCount: UInt64 = 0

  init(_ memory: GuestMemory, _ log: DirtyLog, _ channel: MigrationChannel) {
    self.memory = memory
    self.log = log
    self.channel = channel
    let regions = memory.regions.map(\.pages)
    pending = PageBits(regions)
    sent = PageBits(regions)
  }

  var remainingByteCount: UInt64 { pending.pageCount << 12 }

  /// Turns the logs on.
  func begin() throws(MigrationError) {
    memory.prepareInspection()
    guard memory.beginWriteLog() else {
      throw .machine("a device has been writing to memory for two seconds; try again")
    }
    try machine { () throws(KVMError) in try log.beginMigration() }
    // What was written before is found by the look at all memory.
    try collect()
    pending.removeAll()
  }

  /// Turns them off; without `begin` nothing happens.
  func end() {
    log.endMigration()
    memory.endWriteLog()
  }

  /// Adds what has changed since the last time to what is pending.
  func collect() throws(MigrationError) {
    for region in pending.regions.indices {
      memory.takeWriteLog(ofRegion: region, into: &pending.words[region])
      try machine { () throws(KVMError) in
        try log.takeWritten(ofRegion: region, into: &pending.words[region])
      }
    }
  }

  /// Adds what is lent to writers that no log sees: for the last time, when they are at rest.
  func collectClaims() {
    for region in pending.regions {
      var next = region.start
      for run in memory.tracker.unclaimed(region) {
        pending.insert(PageRange(start: next, end: run.start))
        next = run.end
      }
      pending.insert(PageRange(start: next, end: region.end))
    }
  }

  /// Sends all that is not zero: the first round.
  func sendAll() throws(MigrationError) {
    for region in pending.regions { try send(region, sendsZeroes: false) }
    try flush()
  }

  /// Sends what is pending.
  func sendPending() throws(MigrationError) {
    let round = pending
    pending.removeAll()
    try round.forEachRun { (run) throws(MigrationError) in try send(run) }
    try flush()
  }

  /// - Parameter sendsZeroes: false where the destination has nothing yet.
  private func send(
    _ range: PageRange, sendsZeroes: Bool = true
  ) throws(MigrationError) {
    var next = range.start
    // Errors of the connection come out of a walk that has errors of its own.
    var failure: MigrationError?
    do throws(GuestMemoryError) {
      try memory.forEachNonZeroPage(in: range, readsHidden: true) { page in
        do throws(MigrationError) {
          if sendsZeroes { try sendZeroes(PageRange(start: next, end: page)) }
          try add(page)
        } catch {
          failure = error
        }
        next = page.advanced(by: 1)
        return failure == nil
      }
    } catch {
      throw .machine("\(error)")
    }
    if let failure { throw failure }
    if sendsZeroes { try sendZeroes(PageRange(start: next, end: range.end)) }
  }

  /// Those of them that the destination has otherwise.
  private func sendZeroes(_ range: PageRange) throws(MigrationError) {
    guard !range.isEmpty else { return }
    for number in range.start.rawValue..<range.end.rawValue {
      let page = GPN(rawValue: number)
      guard sent.contains(page) else { continue }
      sent.remove(page)
      zeroPageCount += 1
      if let last = zeroRuns.last, last.end == page {
        zeroRuns[zeroRuns.count - 1] = PageRange(
          start: last.start, pageCount: last.pageCount + 1)
      } else {
        if zeroRuns.count == MigrationFrame.maximumZeroRunCount { try flush() }
        zeroRuns.append(PageRange(start: page, pageCount: 1))
      }
    }
  }

  private func add(_ page: GPN) throws(MigrationError) {
    sent.insert(page)
    if let run = batch, run.end == page, run.pageCount < MigrationFrame.maximumPageCount {
      batch = PageRange(start: run.start, pageCount: run.pageCount + 1)
    } else {
      try sendBatch()
      batch = PageRange(start: page, pageCount: 1)
    }
  }

  private func sendBatch() throws(MigrationError) {
    guard let run = batch else { return }
    batch = nil
    let count = Int(run.pageCount) * 4096
    let isRead: Void? = memory.withBytes(at: GPA(run.start.rawValue << 12), byteCount: count) {
      bytes in
      // A copy: the guest may write meanwhile, and the checksum has to be of what is sent.
      // SAFETY: both have as many bytes, and do not overlap.
      unsafe bytes.withUnsafeBytes { from in
        unsafe buffer.withUnsafeMutableBytes { unsafe $0.copyMemory(from: from) }
      }
    }
    guard isRead != nil else { throw .machine("pages \(run) are no memory") }
    pageCount += run.pageCount
    try channel.send(.pages, argument: run.start.rawValue, buffer, count: count)
  }

  private func flush() throws(MigrationError) {
    try sendBatch()
    guard !zeroRuns.isEmpty else { return }
    var payload: [UInt8] = []
    for run in zeroRuns {
      payload += run.start.rawValue.littleEndianBytes + run.pageCount.littleEndianBytes
    }
    zeroRuns = []
    try channel.send(.zeroes, payload)
  }

  private func machine(_ body: () throws(KVMError) -> Void) throws(MigrationError) {
    do throws(KVMError) { try body() } catch { throw .machine("\(error)") }
  }
}
