internal import Bytes
internal import DeviceKit
internal import HostSystem
internal import Synchronization

/// What happened to a disk since it was switched on: counters and the commands that failed. It
/// outlives the controller, so that a reset of the machine, which makes new ones, keeps it.
///
/// Nothing of it is kept with the image: each process switches its disks on once. Safe from any
/// thread.
public final class NVMeHistory: Sendable {
  /// Entries of the error log; the oldest make room.
  static let errorLogEntryCount = 64
  private static let errorLogEntryByteCount = 64

  private struct Failures: Sendable {
    /// The newest last.
    var entries: [[UInt8]] = []
    var count: UInt64 = 0
    /// Those of them that lost data: media errors.
    var mediaErrorCount: UInt64 = 0
  }

  private let readCommands = Atomic<UInt64>(0)
  private let readBytes = Atomic<UInt64>(0)
  private let writeCommands = Atomic<UInt64>(0)
  private let writtenBytes = Atomic<UInt64>(0)
  private let failures = Guarded(Failures())
  private let nanoseconds: @Sendable () -> UInt64
  private let start: UInt64
  /// For how long it had been on in the machine that was saved.
  private let earlierNanoseconds = Atomic<UInt64>(0)

  /// What a disk did.
  public struct Counts: Hashable, Sendable {
    /// Read commands that succeeded.
    public var readCommands: UInt64 = 0
    public var readBytes: UInt64 = 0
    /// Write commands that succeeded.
    public var writeCommands: UInt64 = 0
    public var writtenBytes: UInt64 = 0
    /// Commands that failed.
    public var failures: UInt64 = 0
  }

  /// So far.
  public var counts: Counts {
    Counts(
      readCommands: readCommands.load(ordering: .relaxed),
      readBytes: readBytes.load(ordering: .relaxed),
      writeCommands: writeCommands.load(ordering: .relaxed),
      writtenBytes: writtenBytes.load(ordering: .relaxed),
      failures: failures.withLock { $0.count })
  }

  /// A disk that is switched on now.
  ///
  /// - Parameter nanoseconds: a clock that only moves on.
  public init(nanoseconds: @escaping @Sendable () -> UInt64) {
    self.nanoseconds = nanoseconds
    start = nanoseconds()
  }

  func countRead(byteCount: Int) {
    readCommands.add(1, ordering: .relaxed)
    readBytes.add(UInt64(byteCount), ordering: .relaxed)
  }

  func countWrite(byteCount: Int) {
    writeCommands.add(1, ordering: .relaxed)
    writtenBytes.add(UInt64(byteCount), ordering: .relaxed)
  }

  /// Notes a command that fails; its status then tells that there is more to know here.
  func note(_ status: NVMeStatus, of command: NVMeCommand, queue: Int) {
    failures.withLock { failures in
      failures.count += 1
      if status.isMediaError { failures.mediaErrorCount += 1 }
      failures.entries.append(
        Self.entry(number: failures.count, status, command, queue: queue))
      if failures.entries.count > Self.errorLogEntryCount { failures.entries.removeFirst() }
    }
  }

  /// An entry of *Error Information* (NVMe 1.4 §5.14.1.1).
  private static func entry(
    number: UInt64, _ status: NVMeStatus, _ command: NVMeCommand, queue: Int
  ) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: errorLogEntryByteCount)
    bytes.storeLE(number, at: 0)
    bytes.storeLE(UInt16(truncatingIfNeeded: queue), at: 8)
    bytes.storeLE(command.identifier, at: 10)
    // Bit 0 would be the phase tag.
    bytes.storeLE(status.rawValue << 1, at: 12)
    // Which field was wrong is not told.
    bytes.storeLE(UInt16.max, at: 14)
    if queue > 0, NVMeIOOpcode(rawValue: command.opcode).hasSectors {
      bytes.storeLE(command.dword(10), at: 16)
      bytes.storeLE(command.dword(11), at: 20)
    }
    bytes.storeLE(command.namespace, at: 24)
    return bytes
  }

  /// *Error Information*: the newest entry first, then entries that say there is none.
  var errorLog: [UInt8] {
    let bytes = failures.withLock { $0.entries.reversed().flatMap(\.self) }
    let byteCount = Self.errorLogEntryCount * Self.errorLogEntryByteCount
    return bytes + [UInt8](repeating: 0, count: byteCount - bytes.count)
  }

  /// *SMART / Health Information* (NVMe 1.4 §5.14.1.2): nothing is worn, and it is 27 °C.
  var healthLog: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 512)
    bytes.storeLE(UInt16(300), at: 1)  // composite temperature, K
    bytes[3] = 100  // available spare, %
    bytes[4] = 10  // its threshold
    bytes.storeLE(Self.units(readBytes.load(ordering: .relaxed)), at: 32)
    bytes.storeLE(Self.units(writtenBytes.load(ordering: .relaxed)), at: 48)
    bytes.storeLE(readCommands.load(ordering: .relaxed), at: 64)
    bytes.storeLE(writeCommands.load(ordering: .relaxed), at: 80)
    bytes.storeLE(UInt64(1), at: 112)  // power cycles
    bytes.storeLE(onNanoseconds / 3_600_000_000_000, at: 128)  // power on hours
    failures.withLock { failures in
      bytes.storeLE(failures.mediaErrorCount, at: 160)
      bytes.storeLE(failures.count, at: 176)
    }
    return bytes
  }

  /// For how long the disk has been on.
  private var onNanoseconds: UInt64 {
    let now = nanoseconds()
    return earlierNanoseconds.load(ordering: .relaxed) &+ (now < start ? 0 : now - start)
  }

  /// Saves or restores it, while no command runs.
  func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    var on = onNanoseconds
    try transfer.integer(&on, in: Self.possibleCounts)
    if transfer.isRestoring { earlierNanoseconds.store(on, ordering: .relaxed) }
    try Self.transfer(readCommands, &transfer)
    try Self.transfer(readBytes, &transfer)
    try Self.transfer(writeCommands, &transfer)
    try Self.transfer(writtenBytes, &transfer)
    try failures.withLock { failures throws(StateError) in
      try transfer.integer(&failures.count, in: Self.possibleCounts)
      try transfer.integer(&failures.mediaErrorCount, in: Self.possibleCounts)
      try transfer.elements(
        &failures.entries, maximumCount: Self.errorLogEntryCount,
        new: [UInt8](repeating: 0, count: Self.errorLogEntryByteCount)
      ) { (transfer, entry) throws(StateError) in
        try transfer.bytes(&entry)
      }
    }
  }

  /// What a life is too short to count to: no later step overflows.
  private static let possibleCounts: ClosedRange<UInt64> = 0...(1 << 62)

  private static func transfer(
    _ counter: borrowing Atomic<UInt64>, _ transfer: inout StateTransfer
  ) throws(StateError) {
    var value = counter.load(ordering: .relaxed)
    try transfer.integer(&value, in: possibleCounts)
    if transfer.isRestoring { counter.store(value, ordering: .relaxed) }
  }

  /// Thousands of 512 bytes, whatever the sectors have, rounded up.
  private static func units(_ byteCount: UInt64) -> UInt64 {
    byteCount / 512_000 + (byteCount % 512_000 == 0 ? 0 : 1)
  }
}
