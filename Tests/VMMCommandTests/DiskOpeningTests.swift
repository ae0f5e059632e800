import Devices
import Foundation
import MachineSpecification
import Testing
import VMM

@testable import VMMCommand

/// What becomes of `--disk` when the machine is made.
@Suite struct DiskOpeningTests {
  private let place: TemporaryDirectory

  init() throws {
    place = try TemporaryDirectory()
    for name in ["a", "b"] { try Data(count: 8192).write(to: URL(filePath: place.path(name))) }
  }

  private func open(_ disks: [DiskSpec]) throws -> [(serial: String, isReadOnly: Bool)] {
    var options = ComputerSpec(.kernel(KernelSpec(file: "k")))
    options.disks = disks
    return try options.openDisks().map { ($0.serial, $0.store.isReadOnly) }
  }

  @Test("a serial number that was not given follows the file, not its place among the disks")
  func serials() throws {
    let (a, b) = (DiskSpec(file: place.path("a")), DiskSpec(file: place.path("b")))
    let first = try open([a, b]).map(\.serial)
    #expect(try open([b, a]).map(\.serial) == first.reversed())
    #expect(first[0] != first[1])
    for serial in first { #expect(serial.count == 16 && serial.allSatisfy(\.isHexDigit)) }
    try FileManager.default.createSymbolicLink(
      atPath: place.path("link"), withDestinationPath: place.path("a"))
    #expect(try open([DiskSpec(file: place.path("link"))]).map(\.serial) == [first[0]])
    #expect(ComputerSpec.serial(naming: "/a/disk.img") == "78cdb29c66938d06")
  }

  @Test("a file that is read as two disks is two to the guest, too")
  func twice() throws {
    let disk = DiskSpec(file: place.path("a"), isReadOnly: true)
    let disks = try open([disk, disk, disk])
    #expect(Set(disks.map(\.serial)).count == 3 && disks.allSatisfy(\.isReadOnly))
  }

  @Test("disks on the SATA adapter come behind its drives, and both are found in the boot order")
  func buses() throws {
    var firmware = FirmwareSpec(image: "f")
    firmware.bootOrder = [.disk(2), .disk(1), .cdrom(0), .disk(0)]
    var options = ComputerSpec(.firmware(firmware))
    options.disks = ["a", "b", "a"].map { DiskSpec(file: place.path($0), isReadOnly: true) }
    options.disks[0].bus = .ahci
    options.disks[2].bus = .ahci
    options.cdroms = [CDROMSpec(), CDROMSpec(file: place.path("b"))]
    var computer = PersonalComputerConfiguration()
    try options.addDisks(to: &computer, MediaChanger(options.cdroms))
    try options.tellFirmware(&computer)
    #expect(computer.disks.count == 1 && computer.sataPorts.count == 4)
    let drives = computer.sataPorts.map { port -> Bool? in
      if case .opticalDrive(let drive) = port { drive.hasMedium } else { nil }
    }
    #expect(drives == [false, true, nil, nil])
    #expect(computer.bootOrder == [.sata(3), .disk(0), .sata(0), .sata(2)])
  }

  @Test("what was given is what the disk has")
  func given() throws {
    var options = ComputerSpec(.kernel(KernelSpec(file: "k")))
    options.disks = [
      DiskSpec(file: place.path("a"), serial: "root", sectorByteCount: 4096),
      DiskSpec(file: place.path("b")),
    ]
    let disks = try options.openDisks()
    #expect(disks[0].serial == "root")
    #expect(disks.map(\.store.sectorByteCount) == [4096, 512])
  }
}
