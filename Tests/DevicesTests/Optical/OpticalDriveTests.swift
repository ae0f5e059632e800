import GuestMemory
import Synchronization
import TestSupport
import Testing

@testable import Devices

/// MMC commands, without a bus.
struct OpticalDriveTests {
  private static func drive(blockCount: Int = 1000) -> OpticalDrive {
    OpticalDrive(
      medium: FaultyStore([UInt8](repeating: 0, count: blockCount * 2048)), serial: "CD-1")
  }

  private static func bytes(_ answer: OpticalDrive.Answer) -> [UInt8]? {
    if case .bytes(let bytes) = answer { bytes } else { nil }
  }

  private static func sense(_ answer: OpticalDrive.Answer) -> SCSISense? {
    if case .failed(let sense) = answer { sense } else { nil }
  }

  private static func isDone(_ answer: OpticalDrive.Answer) -> Bool {
    if case .done = answer { true } else { false }
  }

  private static func offset(_ answer: OpticalDrive.Answer) -> [UInt64]? {
    if case .blocks(_, let offset, let byteCount) = answer { [offset, byteCount] } else { nil }
  }

  /// A command and its answer, with a CD of 1000 blocks.
  @Test(
    arguments: [
      ("capacity", [0x25], [0, 0, 3, 0xE7, 0, 0, 8, 0]),
      ("inquiry, five bytes", [0x12, 0, 0, 0, 5], [5, 0x80, 0, 0x21, 31]),
      ("inquiry, its pages", [0x12, 1, 0, 0, 99], [5, 0, 0, 3, 0, 0x80, 0x83]),
      ("inquiry, serial number", [0x12, 1, 0x80, 0, 99], [5, 0x80, 0, 4, 67, 68, 45, 49]),
      (
        "contents", [0x43, 0, 0, 0, 0, 0, 0, 0, 99],
        [0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xAA, 0, 0, 0, 3, 0xE8]
      ),
      (
        "contents, lead-out in minutes", [0x43, 2, 0, 0, 0, 0, 0xAA, 0, 99],
        [0, 10, 1, 1, 0, 0x14, 0xAA, 0, 0, 0, 15, 25]
      ),
      (
        "contents, sessions", [0x43, 0, 1, 0, 0, 0, 0, 0, 99],
        [0, 10, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0]
      ),
      ("contents, two bytes", [0x43, 0, 0, 0, 0, 0, 0, 0, 2], [0, 18]),
      ("event, none asked for", [0x4A, 1, 0, 0, 0, 0, 0, 0, 99], [0, 2, 0x80, 0x10]),
      ("event", [0x4A, 1, 0, 0, 0x10, 0, 0, 0, 99], [0, 6, 4, 0x10, 0, 2, 0, 0]),
      ("disc", [0x51, 0, 0, 0, 0, 0, 0, 0, 8], [0, 32, 14, 1, 1, 1, 1, 0x20]),
      ("mechanism", [0xBD, 0, 0, 0, 0, 0, 0, 0, 0, 8], [0, 0, 0, 0, 0, 0, 0, 0]),
      ("sense", [0x03, 0, 0, 0, 18], [0x70, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
      (
        "mode, errors", [0x5A, 0, 1, 0, 0, 0, 0, 0, 99],
        [0, 14, 1, 0, 0, 0, 0, 0, 1, 6, 0, 5, 0, 0, 0, 0]
      ),
      (
        "mode, what of it can change", [0x5A, 0, 0x41, 0, 0, 0, 0, 0, 99],
        [0, 14, 1, 0, 0, 0, 0, 0, 1, 6, 0, 0, 0, 0, 0, 0]
      ),
      (
        "configuration, one feature", [0x46, 2, 0, 3, 0, 0, 0, 0, 99],
        [0, 0, 0, 12, 0, 0, 0, 8, 0, 3, 3, 4, 0x29, 0, 0, 0]
      ),
    ] as [(String, [UInt8], [UInt8])])
  func answers(name: String, packet: [UInt8], expected: [UInt8]) {
    #expect(Self.bytes(Self.drive().run(packet)) == expected)
  }

  /// Commands that fail.
  @Test(
    arguments: [
      ("unknown", [0x52], .invalidCommand),
      ("block 1000", [0x28, 0, 0, 0, 3, 0xE8, 0, 0, 1], .blockOutOfRange),
      ("two from 999", [0x28, 0, 0, 0, 3, 0xE7, 0, 0, 2], .blockOutOfRange),
      ("all", [0xA8, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF], .blockOutOfRange),
      ("last block there could be", [0x28, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 1], .blockOutOfRange),
      ("saved pages", [0x5A, 0, 0xEA], .savingNotSupported),
      ("a page", [0x5A, 0, 0x1D], .invalidField),
      ("track 2", [0x43, 0, 0, 0, 0, 0, 2, 0, 9], .invalidField),
      ("events by themselves", [0x4A], .invalidField),
      ("a page of inquiry", [0x12, 1, 0xB0, 0, 9], .invalidField), ("DVD", [0xAD], .wrongMedium),
      ("audio", [0xBE, 0, 0, 0, 0, 0, 0, 0, 1, 0xF8], .invalidField), ("nothing", [], nil),
    ] as [(String, [UInt8], SCSISense?)])
  func failures(name: String, packet: [UInt8], expected: SCSISense?) {
    let drive = Self.drive()
    #expect(Self.sense(drive.run(packet)) == expected)
    let sense = expected ?? .none
    #expect(Self.bytes(drive.run([0x03, 0, 0, 0, 18])) == sense.bytes)
    // Once.
    #expect(Self.bytes(drive.run([0x03, 0, 0, 0, 18])) == SCSISense.none.bytes)
  }

  @Test func readsNameTheirBytes() {
    let drive = Self.drive()
    #expect(Self.offset(drive.run([0x28, 0, 0, 0, 0, 2, 0, 0, 3])) == [4096, 6144])
    #expect(Self.offset(drive.run([0xA8, 0, 0, 0, 3, 0xE7, 0, 0, 0, 1])) == [999 * 2048, 2048])
    #expect(Self.offset(drive.run([0xBE, 0, 0, 0, 0, 5, 0, 0, 1, 0x10])) == [5 * 2048, 2048])
    #expect(Self.isDone(drive.run([0x28, 0, 0, 0, 0, 2])))
    #expect(drive.readFailed() == .readError)
    #expect(Self.bytes(drive.run([0x03, 0, 0, 0, 3])) == [0x70, 0, 3])
  }

  @Test func aLargeMediumIsADVD() {
    let drive = OpticalDrive(medium: EmptyDisk(byteCount: 0x0100_0100 * 2048), serial: "x")
    #expect(Self.bytes(drive.run([0x25])) == [0x01, 0, 0, 0xFF, 0, 0, 8, 0])
    let configuration = Self.bytes(drive.run([0x46, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF])) ?? []
    #expect(configuration.prefix(8) == [0, 0, 0, UInt8(configuration.count - 4), 0, 0, 0, 0x10])
    #expect(Self.bytes(drive.run([0xAD, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]))?.count == 2052)
    // A read stays bounded, however large the medium is.
    #expect(Self.offset(drive.run([0xA8, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF])) == [0, 65_535 * 2048])
    #expect(Self.sense(drive.run([0xA8, 0, 0, 0, 0, 0, 0, 1, 0, 0])) == .invalidField)
  }

  @Test func emptyOpenClosedAndLocked() {
    let drive = OpticalDrive(serial: "x")
    #expect(Self.sense(drive.run([0x00])) == .noMedium)
    #expect(Self.sense(drive.run([0x25])) == .noMedium)
    #expect(Self.bytes(drive.run([0x46, 1, 0, 0, 0, 0, 0, 0, 8]))?.suffix(2) == [0, 0])
    #expect(!drive.hasMedium)
    drive.change(to: FaultyStore([UInt8](repeating: 0, count: 4096)))
    // Events and identity do not take the attention away; the first other command does.
    #expect(Self.bytes(drive.run([0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8]))?[4...5] == [2, 2])
    #expect(Self.bytes(drive.run([0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8]))?[4...5] == [0, 2])
    #expect(Self.bytes(drive.run([0x12, 0, 0, 0, 1])) == [5])
    #expect(Self.sense(drive.run([0x00])) == .mediumChanged)
    #expect(Self.isDone(drive.run([0x00])))
    #expect(Self.isDone(drive.run([0x1E, 0, 0, 0, 1])))
    #expect(Self.sense(drive.run([0x1B, 0, 0, 0, 2])) == .removalPrevented)
    #expect(Self.isDone(drive.run([0x1E])))
    #expect(Self.isDone(drive.run([0x1B, 0, 0, 0, 2])))
    #expect(Self.sense(drive.run([0x00])) == .trayOpen)
    #expect(Self.bytes(drive.run([0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8]))?[4...5] == [3, 3])
    #expect(Self.bytes(drive.run([0xBD, 0, 0, 0, 0, 0, 0, 0, 0, 2])) == [0, 0x10])
    // The same medium again.
    #expect(Self.isDone(drive.run([0x1B, 0, 0, 0, 3])))
    #expect(Self.sense(drive.run([0x25])) == .mediumChanged)
    #expect(Self.bytes(drive.run([0x25])) == [0, 0, 0, 1, 0, 0, 8, 0])
    // Out by the host, even if locked.
    #expect(Self.isDone(drive.run([0x1E, 0, 0, 0, 1])))
    drive.change(to: nil)
    #expect(Self.sense(drive.run([0x00])) == .noMedium)
    #expect(Self.bytes(drive.run([0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8]))?[4...5] == [3, 0])
  }

  private static func disc(_ byte: UInt8) -> FaultyStore {
    FaultyStore([UInt8](repeating: byte, count: 4096))
  }

  private static func event(_ drive: OpticalDrive) -> [UInt8]? {
    bytes(drive.run([0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8]))?.suffix(4).prefix(2).map(\.self)
  }

  private static func medium(_ drive: OpticalDrive) -> FaultyStore? {
    if case .blocks(let store, _, _) = drive.run([0x28, 0, 0, 0, 0, 0, 0, 0, 1]) {
      store as? FaultyStore
    } else {
      nil
    }
  }

  @Test func aDriveThatIsNotLockedIsChangedAtOnce() {
    let (first, second) = (Self.disc(1), Self.disc(2))
    let drive = OpticalDrive(medium: first, serial: "x")
    #expect(Self.medium(drive) === first)
    #expect(drive.requestChange(to: second) && !drive.isChangeAwaited)
    #expect(Self.event(drive) == [2, 2])
    #expect(Self.sense(drive.run([0x28])) == .mediumChanged)
    #expect(Self.medium(drive) === second)
    #expect(drive.requestChange(to: nil))
    #expect(Self.event(drive) == [3, 0])
    #expect(Self.sense(drive.run([0x00])) == .noMedium)
    // Locked, and nothing in it that the guest could have in use.
    #expect(Self.isDone(drive.run([0x1E, 0, 0, 0, 1])))
    #expect(drive.requestChange(to: first))
    #expect(Self.event(drive) == [2, 2])
  }

  /// How a guest lets a medium go, and what it sees of the next one.
  @Test(
    arguments: [
      ("it unlocks and ejects", [[0x1E], [0x1B, 0, 0, 0, 2]]),
      ("it unlocks and looks", [[0x1E], [0x4A, 1, 0, 0, 0x40, 0, 0, 0, 8]]),
    ] as [(String, [[UInt8]])])
  func aLockedDriveAsksTheGuest(name: String, commands: [[UInt8]]) {
    let (first, second) = (Self.disc(1), Self.disc(2))
    let now = Atomic<UInt64>(1)
    let drive = OpticalDrive(
      medium: first, serial: "x", now: { now.load(ordering: .relaxed) })
    #expect(Self.isDone(drive.run([0x1E, 0, 0, 0, 1])))
    #expect(!drive.requestChange(to: second) && drive.isChangeAwaited)
    #expect(Self.event(drive) == [1, 2])
    #expect(Self.event(drive) == [0, 2])
    #expect(Self.medium(drive) === first)
    #expect(Self.sense(drive.run([0x1B, 0, 0, 0, 2])) == .removalPrevented)
    #expect(drive.isChangeAwaited)
    for command in commands { #expect(Self.sense(drive.run(command)) == nil) }
    #expect(!drive.isChangeAwaited)
    #expect(drive.activity?.isLocked == false && drive.activity?.isOpen == false)
    #expect(Self.event(drive) == [2, 2])
    #expect(Self.sense(drive.run([0x00])) == .mediumChanged)
    #expect(Self.medium(drive) === second)
    // One that looked may have meant the medium before; once, and not for long.
    if commands.last?.first == 0x4A {
      #expect(Self.isDone(drive.run([0x1B, 0, 0, 0, 2])))
      #expect(Self.medium(drive) === second)
    }
    #expect(Self.isDone(drive.run([0x1B, 0, 0, 0, 2])))
    #expect(Self.sense(drive.run([0x00])) == .trayOpen)
  }

  @Test func anEjectLongAfterTheChangeOpensTheTray() {
    let now = Atomic<UInt64>(1)
    let drive = OpticalDrive(
      medium: Self.disc(1), serial: "x", now: { now.load(ordering: .relaxed) })
    #expect(Self.isDone(drive.run([0x1E, 0, 0, 0, 1])))
    #expect(!drive.requestChange(to: Self.disc(2)))
    #expect(Self.isDone(drive.run([0x1E])))
    #expect(Self.sense(drive.run([0x00])) == .mediumChanged)
    now.store(10_000_000_001, ordering: .relaxed)
    #expect(Self.isDone(drive.run([0x1B, 0, 0, 0, 2])))
    #expect(Self.sense(drive.run([0x00])) == .trayOpen)
  }

  @Test func aResetAndForceChangeALockedDrive() {
    let (first, second) = (Self.disc(1), Self.disc(2))
    for isForced in [false, true] {
      let drive = OpticalDrive(medium: first, serial: "x")
      #expect(Self.isDone(drive.run([0x1E, 0, 0, 0, 1])))
      #expect(!drive.requestChange(to: second))
      if isForced { drive.change(to: second) } else { drive.reset() }
      #expect(!drive.isChangeAwaited)
      #expect(drive.activity?.isLocked == isForced && drive.activity?.isOpen == false)
      #expect(Self.sense(drive.run([0x00])) == .mediumChanged)
      #expect(Self.medium(drive) === second)
    }
  }

  @Test("any packet has an answer, and none is longer than asked for")
  func anyPacket() {
    var generator = SeededGenerator(seed: 1)
    let drive = Self.drive()
    for _ in 0..<20_000 {
      let packet = (0..<16).map { _ in UInt8.random(in: 0...255, using: &generator) }
      if case .blocks(_, let offset, let byteCount) = drive.run(packet) {
        #expect(offset + byteCount <= 1000 * 2048, "\(packet)")
      }
    }
  }
}
