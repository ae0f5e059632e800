internal import Bytes
internal import DeviceKit
internal import HostSystem

/// A CD and DVD drive with a tray: the commands of MMC, whichever bus brings them.
///
/// A medium is a file of blocks of 2048 bytes, one data track; a large one is a DVD. Source: MMC-5,
/// SPC-4. Audio, writing and changers are left out. Any thread.
public final class OpticalDrive: Sendable {
  /// Bytes of a block.
  public static let blockByteCount: UInt64 = 2048
  /// What a CD holds, in blocks: 80 minutes. More is a DVD.
  static let largestCD: UInt64 = 80 * 60 * 75

  /// What a command comes to.
  enum Answer: Sendable {
    case done
    /// Bytes for the host, at most as many as it has room for.
    case bytes([UInt8])
    /// Bytes of the medium for the host; `readFailed` if that goes wrong.
    case blocks(any BlockStore, offset: UInt64, byteCount: UInt64)
    /// CHECK CONDITION.
    case failed(SCSISense)
  }

  private let state: Guarded<OpticalDriveState>

  /// A drive that is closed.
  ///
  /// - Parameters:
  ///   - medium: what is in it; nil for nothing.
  ///   - serial: of the drive; 1 to 20 characters of ASCII.
  public convenience init(medium: (any BlockStore)? = nil, serial: String) {
    self.init(medium: medium, serial: serial, now: HostClock.monotonicNanoseconds)
  }

  /// - Parameter now: nanoseconds that only go on.
  init(
    medium: (any BlockStore)?, serial: String, now: @escaping @Sendable () -> UInt64
  ) {
    state = Guarded(OpticalDriveState(medium: medium, serial: serial, now: now))
  }

  /// The drive's serial number.
  var serial: String { state.withLock { $0.serial } }

  /// Whether a medium is in and the tray closed.
  public var hasMedium: Bool { state.withLock { $0.readableMedium != nil } }

  /// Puts another medium in, or none, whatever the guest has locked, and closes the tray. The guest
  /// finds that by the next command.
  public func change(to medium: (any BlockStore)?) {
    state.withLock { $0.change(to: medium) }
  }

  /// Puts another medium in, or none, as `change(to:)` does, at once if the guest allows that. If
  /// it has locked the drive it is asked to eject, and the medium is changed when it ejects or
  /// unlocks.
  ///
  /// Source: MMC-5, *GET EVENT STATUS NOTIFICATION*, *EjectRequest*.
  ///
  /// - Returns: whether the medium is in; false if that is left to the guest.
  public func requestChange(to medium: (any BlockStore)?) -> Bool {
    state.withLock { $0.requestChange(to: medium) }
  }

  /// Whether a change was asked for that the guest has not let happen.
  public var isChangeAwaited: Bool { state.withLock { $0.awaitedChange != nil } }

  /// What it looks like from outside; nil if its lock was taken.
  public var activity: OpticalDriveActivity? {
    state.withLockSoon { state in
      OpticalDriveActivity(
        hasMedium: state.hasMedium, isOpen: state.isTrayOpen, isLocked: state.isLocked,
        isChangeAwaited: state.awaitedChange != nil)
    }
  }

  /// Carries out a command.
  ///
  /// - Parameter packet: the command descriptor block; what is missing of 12 bytes is 0.
  func run(_ packet: [UInt8]) -> Answer {
    let block = OpticalCommand(packet)
    return state.withLock { $0.run(block) }
  }

  /// The host could not read the blocks of an answer.
  ///
  /// - Returns: what the command failed with.
  func readFailed() -> SCSISense {
    state.withLock { state in
      state.sense = .readError
      return .readError
    }
  }

  /// As after power-on, with the medium as it is. The tray stays as it is, too.
  func reset() {
    state.withLock { $0.reset() }
  }

  /// Saves or restores all but the medium. If another one is in the drive than was in that of the
  /// machine that was saved, the guest finds it as one that was put in.
  func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try state.withLock { state throws(StateError) in try state.transfer(&transfer) }
  }
}

/// A command descriptor block: 12 bytes, numbers big-endian.
struct OpticalCommand: Sendable {
  private let bytes: [UInt8]

  init(_ packet: [UInt8]) {
    bytes = Array((packet + [UInt8](repeating: 0, count: 12)).prefix(12))
  }

  var opcode: UInt8 { bytes[0] }

  subscript(index: Int) -> UInt8 { bytes[index] }

  func uint16(at index: Int) -> Int { Int(bytes.loadBE(at: index, as: UInt16.self)) }

  func uint24(at index: Int) -> UInt64 {
    UInt64(bytes[index]) << 16 | UInt64(uint16(at: index + 1))
  }

  func uint32(at index: Int) -> UInt64 {
    UInt64(bytes.loadBE(at: index, as: UInt32.self))
  }
}

/// A drive without its lock.
struct OpticalDriveState: Sendable {
  let serial: String
  /// In the tray, be it open or closed.
  private var medium: (any BlockStore)?
  private(set) var isTrayOpen = false
  /// PREVENT MEDIUM REMOVAL.
  private(set) var isLocked = false
  /// What the last command failed with: for REQUEST SENSE.
  var sense = SCSISense.none
  /// Comes before the next command that may fail for it.
  private var isAttentionPending = false
  /// *Media event*: 0 none, 1 the user wants to eject, 2 new medium, 3 removal.
  private var event: UInt8 = 0
  /// What comes in once the guest lets it.
  private(set) var awaitedChange: AwaitedChange?

  /// For how long after such a change an eject still means the medium that left.
  private static let lateEjectNanoseconds: UInt64 = 10_000_000_000
  private let now: @Sendable () -> UInt64
  /// Nil if none was made since the last eject.
  private var changedAt: UInt64?

  struct AwaitedChange: Sendable {
    /// Nil for an empty drive.
    let medium: (any BlockStore)?
  }

  init(medium: (any BlockStore)?, serial: String, now: @escaping @Sendable () -> UInt64) {
    self.medium = medium
    self.serial = serial
    self.now = now
  }

  var hasMedium: Bool { medium != nil }

  /// What can be read.
  var readableMedium: (any BlockStore)? { isTrayOpen ? nil : medium }

  /// Blocks of the medium, as far as addresses of 32 bits go.
  private static func blockCount(_ medium: any BlockStore) -> UInt64 {
    min(medium.byteCount / OpticalDrive.blockByteCount, UInt64(UInt32.max))
  }

  mutating func change(to medium: (any BlockStore)?) {
    let wasReady = readableMedium != nil
    self.medium = medium
    isTrayOpen = false
    awaitedChange = nil
    event = medium != nil ? 2 : wasReady ? 3 : event
    isAttentionPending = medium != nil
  }

  mutating func requestChange(to medium: (any BlockStore)?) -> Bool {
    guard isLocked, readableMedium != nil else {
      change(to: medium)
      return true
    }
    awaitedChange = AwaitedChange(medium: medium)
    event = 1
    return false
  }

  /// Does what was asked for while the drive was locked.
  ///
  /// - Returns: whether anything was.
  private mutating func makeAwaitedChange() -> Bool {
    guard let awaited = awaitedChange else { return false }
    change(to: awaited.medium)
    return true
  }

  mutating func reset() {
    isLocked = false
    sense = .none
    _ = makeAwaitedChange()
  }

  // MARK: Commands

  mutating func run(_ command: OpticalCommand) -> OpticalDrive.Answer {
    if command.opcode == 0x03 { return requestSense(command) }
    do throws(Failure) {
      let answer = try execute(command)
      sense = .none
      return answer
    } catch {
      sense = error.sense
      return .failed(error.sense)
    }
  }

  private struct Failure: Error {
    let sense: SCSISense
  }

  private mutating func execute(_ command: OpticalCommand) throws(Failure) -> OpticalDrive.Answer {
    // Not as soon as it is unlocked: drivers unlock to eject, and that ejects what is to go.
    // Others look first: Linux's eject(1) unmounts, opens the drive anew and ejects.
    if !isLocked, command.opcode != 0x1B, command.opcode != 0x1E, makeAwaitedChange() {
      changedAt = now()
    }
    switch command.opcode {
    case 0x12: return try inquiry(command)
    case 0x46: return configuration(command)
    case 0x4A: return try eventStatus(command)
    default: break
    }
    if isAttentionPending {
      isAttentionPending = false
      throw Failure(sense: .mediumChanged)
    }
    switch command.opcode {
    case 0x00:
      _ = try ready()
      return .done
    case 0x1B: return try startStop(command)
    case 0x1E:
      isLocked = command[4] & 1 != 0
      return .done
    case 0x25:
      let last = Self.blockCount(try ready()) - 1
      return .bytes(Self.uint32(last) + Self.uint32(OpticalDrive.blockByteCount))
    case 0x28: return try read(first: command.uint32(at: 2), count: UInt64(command.uint16(at: 7)))
    case 0xA8: return try read(first: command.uint32(at: 2), count: command.uint32(at: 6))
    case 0xBE: return try readCD(command)
    case 0x2B: return try read(first: command.uint32(at: 2), count: 0)
    case 0x43: return try tableOfContents(command)
    case 0x51: return try discInformation(command)
    case 0x5A: return try modeSense(command)
    case 0xAD: return try structure(command)
    case 0xBB: return .done  // SET CD SPEED
    case 0xBD:
      return Self.bytes([0, isTrayOpen ? 0x10 : 0, 0, 0, 0, 0, 0, 0], command.uint16(at: 8))
    default: throw Failure(sense: .invalidCommand)
    }
  }

  private func ready() throws(Failure) -> any BlockStore {
    guard let medium = readableMedium, Self.blockCount(medium) > 0 else {
      throw Failure(sense: isTrayOpen ? .trayOpen : .noMedium)
    }
    return medium
  }

  private mutating func requestSense(_ command: OpticalCommand) -> OpticalDrive.Answer {
    defer { sense = .none }
    if sense == .none, isAttentionPending {
      isAttentionPending = false
      sense = .mediumChanged
    }
    return Self.bytes(sense.bytes, Int(command[4]))
  }

  /// Load and eject: *LoEj* in bit 1, *Start* in bit 0.
  private mutating func startStop(_ command: OpticalCommand) throws(Failure) -> OpticalDrive.Answer
  {
    switch command[4] & 3 {
    case 2:
      guard !isLocked || isTrayOpen else { throw Failure(sense: .removalPrevented) }
      if makeAwaitedChange() { return .done }
      let changedAt = changedAt.take()
      if let changedAt, now() - changedAt < Self.lateEjectNanoseconds { return .done }
      if readableMedium != nil { event = 3 }
      isTrayOpen = true
    case 3 where isTrayOpen:
      isTrayOpen = false
      if medium != nil {
        event = 2
        isAttentionPending = true
      }
    default: break
    }
    return .done
  }

  private func read(first: UInt64, count: UInt64) throws(Failure) -> OpticalDrive.Answer {
    let medium = try ready()
    let blockCount = Self.blockCount(medium)
    guard first < blockCount, count <= blockCount - first else {
      throw Failure(sense: .blockOutOfRange)
    }
    guard count > 0 else { return .done }
    // What READ(10) can ask for, and more than any driver does: nothing ends one on its way.
    guard count <= UInt64(UInt16.max) else { throw Failure(sense: .invalidField) }
    return .blocks(
      medium, offset: first * OpticalDrive.blockByteCount,
      byteCount: count * OpticalDrive.blockByteCount)
  }

  /// User data of blocks, which is all that there is of them.
  private func readCD(_ command: OpticalCommand) throws(Failure) -> OpticalDrive.Answer {
    switch command[9] & 0xF8 {
    case 0x00: return try read(first: command.uint32(at: 2), count: 0)
    case 0x10: return try read(first: command.uint32(at: 2), count: command.uint24(at: 6))
    default: throw Failure(sense: .invalidField)
    }
  }

  // MARK: What it is

  private static let vendor = "VMM-RUN "
  private static let product = "CD/DVD-ROM      "
  private static let revision = "1.0 "

  private func inquiry(_ command: OpticalCommand) throws(Failure) -> OpticalDrive.Answer {
    let room = command.uint16(at: 3)
    let serial = Array(serial.utf8.prefix(20))
    switch (command[1] & 1, command[2]) {
    case (0, 0):
      // A removable CD device; ATAPI's version 2, data as SCSI-2 has it.
      let text = Self.vendor + Self.product + Self.revision
      return Self.bytes([0x05, 0x80, 0, 0x21, 31, 0, 0, 0] + text.utf8, room)
    case (1, 0x00): return Self.bytes([0x05, 0, 0, 3, 0x00, 0x80, 0x83], room)
    case (1, 0x80): return Self.bytes([0x05, 0x80, 0, UInt8(serial.count)] + serial, room)
    case (1, 0x83):
      // The vendor and the serial number, in ASCII.
      let name = Array(Self.vendor.utf8) + serial
      let designator = [0x02, 0x01, 0, UInt8(name.count)] + name
      return Self.bytes([0x05, 0x83, 0, UInt8(designator.count)] + designator, room)
    default: throw Failure(sense: .invalidField)
    }
  }

  private var isDVD: Bool {
    readableMedium.map { Self.blockCount($0) > OpticalDrive.largestCD } ?? false
  }

  /// Features of the drive and, by the medium, which are current.
  private func configuration(_ command: OpticalCommand) -> OpticalDrive.Answer {
    let isReady = readableMedium != nil
    let (isDVD, isCD) = (isDVD, isReady && !isDVD)
    let profile: UInt16 = isDVD ? 0x10 : isCD ? 0x08 : 0
    // Number, version, whether always there, whether current, and more.
    let features: [(UInt16, UInt8, Bool, Bool, [UInt8])] = [
      (0x00, 0, true, true, [0, 0x10, isDVD ? 1 : 0, 0, 0, 0x08, isCD ? 1 : 0, 0]),
      // Core: the interface is ATAPI.
      (0x01, 2, true, true, [0, 0, 0, 2, 1, 0, 0, 0]),
      // Removable medium: a tray that locks and ejects.
      (0x03, 0, true, true, [0x29, 0, 0, 0]),
      // Random readable, in blocks of 2048 bytes.
      (0x10, 0, false, isReady, [0, 0, 8, 0, 0, 1, 0, 0]),
      (0x1E, 2, false, isCD, [0, 0, 0, 0]), (0x1F, 0, false, isDVD, []),
    ]
    let (kind, first) = (command[1] & 3, UInt16(command.uint16(at: 2)))
    let wanted = features.filter { number, _, _, isCurrent, _ in
      switch kind {
      case 0: number >= first
      case 1: number >= first && isCurrent
      default: number == first
      }
    }
    let descriptors = wanted.flatMap { number, version, isPersistent, isCurrent, more in
      let flags = version << 2 | (isPersistent ? 2 : 0) | (isCurrent ? 1 : 0)
      return number.bigEndianBytes + [flags, UInt8(more.count)] + more
    }
    let header = Self.uint32(UInt64(descriptors.count + 4)) + [0, 0, 0, UInt8(profile)]
    return Self.bytes(header + descriptors, command.uint16(at: 7))
  }

  /// Events of the medium, of all classes; asked for, never sent.
  private mutating func eventStatus(
    _ command: OpticalCommand
  ) throws(Failure) -> OpticalDrive.Answer {
    guard command[1] & 1 != 0 else { throw Failure(sense: .invalidField) }
    let room = command.uint16(at: 7)
    guard command[4] & 0x10 != 0 else { return Self.bytes([0, 2, 0x80, 0x10], room) }
    // Tray open 0x01, medium in 0x02.
    let status: UInt8 = (isTrayOpen ? 1 : 0) | (medium != nil ? 2 : 0)
    let answer = Self.bytes([0, 6, 4, 0x10, event, status, 0, 0], room)
    // With room for the header alone the event is not there.
    if room >= 5 { event = 0 }
    return answer
  }

  /// Pages 0x01 and 0x2A. None can be changed or saved.
  private func modeSense(_ command: OpticalCommand) throws(Failure) -> OpticalDrive.Answer {
    let (page, control) = (command[2] & 0x3F, command[2] >> 6)
    guard control != 3 else { throw Failure(sense: .savingNotSupported) }
    var pages: [[UInt8]] = []
    // Errors: five tries.
    if page == 0x01 || page == 0x3F { pages.append([0x01, 6, 0, 5, 0, 0, 0, 0]) }
    if page == 0x2A || page == 0x3F {
      // Reads CD-R, CD-RW, DVD-ROM, DVD-R; several sessions, both forms of mode 2. Locks, ejects,
      // has a tray. 4x, a buffer of 512 KiB.
      let mechanism: UInt8 = 0x29 | (isLocked ? 2 : 0)
      pages.append([
        0x2A, 18, 0x1B, 0, 0x70, 0, mechanism, 0, 0x02, 0xC0, 0, 0, 0x02, 0, 0x02, 0xC0, 0, 0, 0, 0,
      ])
    }
    guard !pages.isEmpty else { throw Failure(sense: .invalidField) }
    let data = pages.flatMap { page in
      // What can be changed: nothing.
      control == 1 ? page.prefix(2) + [UInt8](repeating: 0, count: page.count - 2) : page
    }
    // A data disc, or none, by the medium's type.
    let kind: UInt8 = readableMedium != nil ? 0x01 : isTrayOpen ? 0x71 : 0x70
    let header = [0, UInt8(data.count + 6), kind, 0, 0, 0, 0, 0]
    return Self.bytes(header + data, command.uint16(at: 7))
  }

  // MARK: What is on it

  /// One data track from block 0 to the lead-out.
  private func tableOfContents(_ command: OpticalCommand) throws(Failure) -> OpticalDrive.Answer {
    let end = Self.blockCount(try ready())
    let usesMSF = command[1] & 2 != 0
    func place(_ block: UInt64) -> [UInt8] { usesMSF ? Self.msf(block) : Self.uint32(block) }
    let (format, track) = (command[2] & 0xF | command[9] >> 6, command[6])
    var data: [UInt8] = [1, 1]
    switch format {
    case 0:
      guard track <= 1 || track == 0xAA else { throw Failure(sense: .invalidField) }
      if track <= 1 { data += [0, 0x14, 1, 0] + place(0) }
      data += [0, 0x14, 0xAA, 0] + place(end)
    case 1: data += [0, 0x14, 1, 0] + place(0)
    case 2:
      // As in the lead-in: first and last track, the lead-out, the track.
      let places: [(UInt8, [UInt8])] = [
        (0xA0, [0, 1, 0, 0]), (0xA1, [0, 1, 0, 0]), (0xA2, Self.msf(end)), (1, Self.msf(0)),
      ]
      for (point, place) in places { data += [1, 0x14, 0, point, 0, 0, 0] + place }
    default: throw Failure(sense: .invalidField)
    }
    return Self.bytes([0, UInt8(data.count)] + data, command.uint16(at: 7))
  }

  /// Complete, one session with one track.
  private func discInformation(_ command: OpticalCommand) throws(Failure) -> OpticalDrive.Answer {
    guard command[1] & 7 == 0 else { throw Failure(sense: .invalidField) }
    _ = try ready()
    let data: [UInt8] = [0, 32, 0x0E, 1, 1, 1, 1, 0x20]
    return Self.bytes(data + [UInt8](repeating: 0, count: 34 - data.count), command.uint16(at: 7))
  }

  /// A DVD's physical format, and that it is not protected.
  private func structure(_ command: OpticalCommand) throws(Failure) -> OpticalDrive.Answer {
    let end = Self.blockCount(try ready())
    guard isDVD else { throw Failure(sense: .wrongMedium) }
    let room = command.uint16(at: 8)
    switch command[7] {
    case 0x00:
      // DVD-ROM, version 1; 120 mm, no maximum rate; one embossed layer, from sector 0x30000 on.
      let last = min(0x3_0000 + end - 1, 0xFF_FFFF)
      var layer: [UInt8] = [0x01, 0x0F, 0x01, 0, 0, 3, 0, 0] + Self.uint32(last)
      layer += [UInt8](repeating: 0, count: 2048 - layer.count)
      return Self.bytes([0x08, 0x02, 0, 0] + layer, room)
    case 0x01: return Self.bytes([0, 6, 0, 0, 0, 0, 0, 0], room)
    default: throw Failure(sense: .invalidField)
    }
  }

  // MARK: Bytes

  private static func bytes(_ bytes: [UInt8], _ room: Int) -> OpticalDrive.Answer {
    room == 0 ? .done : .bytes(Array(bytes.prefix(room)))
  }

  private static func uint32(_ value: UInt64) -> [UInt8] {
    UInt32(truncatingIfNeeded: value).bigEndianBytes
  }

  /// Minutes, seconds and frames, behind a lead-in of two seconds; a DVD's minutes end at 255.
  private static func msf(_ block: UInt64) -> [UInt8] {
    let frames = block + 150
    return [0, UInt8(min(frames / 4500, 255)), UInt8(frames / 75 % 60), UInt8(frames % 75)]
  }
}

extension OpticalDriveState {
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.flag(&isTrayOpen)
    try transfer.flag(&isLocked)
    try sense.transfer(&transfer)
    try transfer.flag(&isAttentionPending)
    try transfer.integer(&event, in: 0...3)
    // The time since is not saved: the other machine's clock is another.
    var isChangeRecent = changedAt.map { now() - $0 < Self.lateEjectNanoseconds } ?? false
    try transfer.flag(&isChangeRecent)
    var isChangeAwaited = awaitedChange != nil
    try transfer.flag(&isChangeAwaited)
    var byteCount = medium?.byteCount
    try transfer.integer(&byteCount)
    guard transfer.isRestoring else { return }
    changedAt = isChangeRecent ? now() : nil
    // What was to come in may be what is in now.
    guard isChangeAwaited || byteCount != medium?.byteCount else { return }
    let wasReady = byteCount != nil && !isTrayOpen
    change(to: medium)
    if medium == nil, wasReady { event = 3 }
  }
}
