import Foundation
import MachineSpecification
import Testing

@testable import Devices
@testable import VMMCommand

/// What Ctrl-A m does to drives, and says.
@Suite struct MediaChangerTests {
  private let place: TemporaryDirectory

  init() throws {
    place = try TemporaryDirectory()
    for (name, byte) in [("a", UInt8(1)), ("b", 2), ("c", 3)] {
      try Data(repeating: byte, count: 4096 * Int(byte)).write(to: URL(filePath: place.path(name)))
    }
  }

  private func drive(_ files: String?...) throws -> CDROMSpec {
    CDROMSpec(
      file: files[0].map { place.path($0) },
      nextFiles: files.dropFirst().compactMap { $0.map { place.path($0) } })
  }

  /// Blocks of what is in; 0 for nothing. Takes the unit attention.
  private func blockCount(_ drive: OpticalDrive) -> Int {
    _ = drive.run([0x00])
    guard case .bytes(let bytes) = drive.run([0x25]) else { return 0 }
    return Int(bytes[3]) + 1
  }

  @Test func mediaComeInTurn() throws {
    let changer = try MediaChanger([drive("a", "b", "c")])
    let drive = try #require(changer.drives.first)
    #expect(blockCount(drive) == 2)
    for (name, count) in [("b", 4), ("c", 6), (nil, 0), ("a", 2), ("b", 4)] {
      let shown = name.map { "'\(place.path($0))'" } ?? "nothing"
      #expect(changer.goOn(nil) == "cdrom0: \(shown) is in")
      #expect(blockCount(drive) == count)
    }
  }

  @Test func theDriveWithSeveralOrTheOneThatIsNamed() throws {
    let changer = try MediaChanger([drive("a"), drive(nil, "b", "c"), drive(nil)])
    let drives = changer.drives
    #expect(drives.map(blockCount) == [2, 0, 0])
    #expect(changer.goOn(nil) == "cdrom1: '\(place.path("b"))' is in")
    #expect(changer.goOn(0) == "cdrom0: nothing is in")
    #expect(drives.map(blockCount) == [0, 4, 0])
    #expect(changer.goOn(0) == "cdrom0: '\(place.path("a"))' is in")
    #expect(
      changer.goOn(2)
        == "cdrom2: no image was named for it; start with '--cdrom none,next=FILE'")
    #expect(changer.goOn(3) == "there is no drive cdrom3")
    #expect(drives.map(blockCount) == [2, 4, 0])
    #expect(
      try MediaChanger([drive("a"), drive(nil, "b")]).goOn(nil)
        == "cdrom1: '\(place.path("b"))' is in")
    #expect(
      try MediaChanger([]).goOn(nil)
        == "there is no CD drive; start with '--cdrom FILE,next=FILE'")
  }

  @Test("a locked drive waits for the guest, and for the user's second word")
  func locked() throws {
    let changer = try MediaChanger([drive("a", "b")])
    let drive = changer.drives[0]
    let (a, b) = ("'\(place.path("a"))'", "'\(place.path("b"))'")
    let asked =
      "cdrom0: the guest has locked it and is asked to eject \(a), then \(b) comes in; ask again"
      + " to change it at once"
    _ = drive.run([0x1E, 0, 0, 0, 1])
    #expect(changer.goOn(nil) == asked)
    #expect(blockCount(drive) == 2)
    #expect(changer.goOn(nil) == "cdrom0: \(b) is in, though the guest had locked the drive")
    #expect(blockCount(drive) == 4)
    // It ejects by itself: then the turn is that of what comes after.
    _ = drive.run([0x1E])
    #expect(changer.goOn(nil) == "cdrom0: nothing is in")
    #expect(changer.goOn(nil) == "cdrom0: \(a) is in")
    _ = drive.run([0x00])
    _ = drive.run([0x1E, 0, 0, 0, 1])
    #expect(changer.goOn(nil) == asked)
    _ = drive.run([0x1E])
    _ = drive.run([0x1B, 0, 0, 0, 2])
    #expect(blockCount(drive) == 4)
    #expect(changer.goOn(nil) == "cdrom0: nothing is in")
  }

  @Test func whatCannotBeOpenedIsRefusedAtTheStart() throws {
    #expect(throws: BlockStoreError.self) { try MediaChanger([drive("a", "none")]) }
  }

  @Test(
    arguments: [
      ("a,b", "option '--cdrom FILE,': 'b' is not next=FILE; a comma in a file's name is doubled"),
      ("a,next=", "option '--cdrom' needs a value: '--cdrom FILE,next=FILE'"),
      (",next=b", "option '--cdrom' needs a value: '--cdrom FILE[,next=FILE]'"),
    ])
  func refused(value: String, message: String) {
    #expect { try CDROMSpec(option: value) } throws: { "\($0)" == message }
  }
}
