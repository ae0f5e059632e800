import Bytes
import Glibc
import GuestMemory
import HostSystem
import TestSupport
import Testing
import ZeroTracker

@testable import DeviceKit
@testable import Devices

@Suite(.timeLimit(.minutes(10))) struct NVMeAdminTests {
  private let disk: TestDisk
  private let image: ImageFile
  private static let data: UInt64 = 0x20_0000

  init() throws {
    image = try ImageFile(pattern(1 << 20, seed: 1))
    disk = try TestDisk(RawImageStore(path: image.path))
  }

  private func identify(_ selector: UInt32, _ namespace: UInt32) throws -> [UInt8] {
    try disk.memory.fill(at: GPA(Self.data), byteCount: 4096, with: 0xA5)
    let reply = try disk.admin.run(
      .admin(.identify, namespace: namespace, prp1: Self.data, selector))
    #expect(reply.status == .success)
    return try disk.memory.read(at: GPA(Self.data), byteCount: 4096)
  }

  @Test("the function's place in PCI")
  func function() {
    let configuration = disk.controller.configuration
    #expect(configuration.read(offset: 8, width: 4) >> 8 == 0x01_0802)
    #expect(configuration.read(offset: 0, width: 4) == 0x0001_564D)
    #expect(configuration.read(offset: 0x2C, width: 4) == 0x0001_564D)
    #expect(configuration.read(offset: 0x10, width: 4) == 0)
    #expect(configuration.read(offset: 0x40, width: 4) == 0x8004_4C11)
  }

  @Test("Identify: the controller")
  func identifyController() throws {
    let bytes = try identify(1, 0)
    #expect(bytes.loadLE(at: 0, as: UInt32.self) == 0x564D_564D)
    #expect(String(decoding: bytes[4..<24], as: UTF8.self) == "S-1                 ")
    // The logs of effects and parts of logs (LPA); 64 entries of the error log (ELPE).
    #expect(bytes[261] == 6 && bytes[262] == 63)
    #expect(bytes[77] == 7 && bytes[259] == 3 && bytes[512] == 0x66 && bytes[513] == 0x44)
    #expect(bytes.loadLE(at: 80, as: UInt32.self) == 0x1_0300)
    #expect(bytes.loadLE(at: 516, as: UInt32.self) == 1)
    #expect(bytes.loadLE(at: 520, as: UInt16.self) == 0x0C && bytes[525] == 1)
    #expect(String(decoding: bytes[768..<800], as: UTF8.self) == "nqn.2014-08.org.nvmexpress:uuid:")
  }

  @Test("Identify: the namespace, the list, the descriptors")
  func identifyNamespace() throws {
    let namespace = try identify(0, 1)
    for offset in [0, 8, 16] { #expect(namespace.loadLE(at: offset, as: UInt64.self) == 2048) }
    #expect(namespace[33] == 9 && namespace[99] == 0)
    #expect(namespace.loadLE(at: 128, as: UInt32.self) == 0x0009_0000)
    // NGUID: an OUI that is nobody's and no group's; EUI-64: none.
    #expect(namespace[112] & 3 == 2)
    #expect(namespace[120..<128].allSatisfy { $0 == 0 })
    #expect(try identify(2, 0)[..<8] == [1, 0, 0, 0, 0, 0, 0, 0])
    #expect(try identify(2, 1).allSatisfy { $0 == 0 })
    let descriptors = try identify(3, 1)
    #expect(descriptors[..<4] == [2, 16, 0, 0])
    #expect(descriptors[4..<20] == namespace[104..<120])
    #expect(descriptors[20...].allSatisfy { $0 == 0 })
  }

  @Test("identifiers follow the serial number, and nothing else")
  func identifiers() {
    let serials = ["", "0", "1", "10", "root", "Root", "root ", "a very long number"]
    let identities = serials.map { NVMeIdentity(serial: $0) }
    #expect(Set(identities.map(\.globalIdentifier)).count == serials.count)
    #expect(Set(identities.map(\.uuid)).count == serials.count)
    #expect(
      NVMeIdentity(serial: "root", model: "x", firmware: "y").globalIdentifier
        == NVMeIdentity(serial: "root").globalIdentifier)
    for identity in identities {
      #expect(identity.globalIdentifier.count == 16 && identity.globalIdentifier[8] & 3 == 2)
      #expect(identity.uuid[6] >> 4 == 8 && identity.uuid[8] >> 6 == 2)
    }
    // Guests have it written down: it may never change.
    let bytes = identities[4].globalIdentifier.map { String($0, radix: 16) }
    #expect(bytes.joined(separator: " ") == "a3 54 fd 1f f0 c4 67 c5 7a c5 93 b1 de 86 db 94")
  }

  @Test("sectors of 4096 bytes: Identify, transfers, zeroing, discards, and what is past the end")
  func largeSectors() throws {
    let bytes = pattern(1 << 20, seed: 3)
    let image = try ImageFile(bytes)
    let disk = try TestDisk(RawImageStore(path: image.path, sectorByteCount: 4096))
    #expect(
      try disk.admin.run(.admin(.identify, namespace: 1, prp1: Self.data, 0)).status == .success)
    let namespace = try disk.memory.read(at: GPA(Self.data), byteCount: 4096)
    for offset in [0, 8, 16] { #expect(namespace.loadLE(at: offset, as: UInt64.self) == 256) }
    #expect(namespace.loadLE(at: 128, as: UInt32.self) == 0x000C_0000)
    let queue = try disk.makePair(1)
    let read = NVMeCommand.io(.read, 255, 1, prp1: Self.data)
    #expect(try queue.run(read).status == .success)
    #expect(try disk.memory.read(at: GPA(Self.data), byteCount: 4096) == Array(bytes.suffix(4096)))
    #expect(try queue.run(.io(.read, 255, 2, prp1: Self.data)).status == .lbaOutOfRange)
    // 512 KiB is the most, whatever a sector has.
    #expect(try queue.run(.io(.read, 0, 129, prp1: Self.data)).status == .invalidField)
    #expect(try queue.run(.io(.writeZeroes, 3, 2)).status == .success)
    try disk.memory.store(UInt32(4), at: GPA(Self.data + 4))
    try disk.memory.store(UInt64(100), at: GPA(Self.data + 8))
    var discard = NVMeCommand.io(.datasetManagement, 0, 1, prp1: Self.data)
    discard.dwords[1] = 4
    #expect(try queue.run(discard).status == .success)
    var expected = bytes
    for sector in [3, 4, 100, 101, 102, 103] {
      for index in (sector * 4096)..<(sector * 4096 + 4096) { expected[index] = 0 }
    }
    #expect(try image.contents == expected)
    // One read of 4096 bytes is a thousandth of a unit of 512,000, rounded up.
    let log = NVMeCommand.admin(.getLogPage, prp1: Self.data, 127 << 16 | 2)
    #expect(try disk.admin.run(log).status == .success)
    let health = try disk.memory.read(at: GPA(Self.data), byteCount: 512)
    #expect(health.loadLE(at: 32, as: UInt64.self) == 1)
    #expect(health.loadLE(at: 64, as: UInt64.self) == 1)
  }

  struct Row: CustomTestStringConvertible, Sendable {
    let command: NVMeCommand
    let status: NVMeStatus
    let testDescription: String

    init(_ testDescription: String, _ status: NVMeStatus, _ command: NVMeCommand) {
      self.command = command
      self.status = status
      self.testDescription = testDescription
    }
  }

  private static let ring: UInt64 = 0x40_0000
  private static let size: UInt32 = 63 << 16

  @Test(
    "commands that are refused",
    arguments: [
      Row("opcode", .invalidOpcode, .admin(NVMeAdminOpcode(rawValue: 0x7D))),
      Row("namespace 0", .invalidNamespace, .admin(.identify, prp1: data, 0)),
      Row("namespace 2", .invalidNamespace, .admin(.identify, namespace: 2, prp1: data, 3)),
      Row("list of the last", .invalidNamespace, .admin(.identify, namespace: .max, prp1: data, 2)),
      Row("selector 0x10", .invalidField, .admin(.identify, namespace: 1, prp1: data, 0x10)),
      Row("data outside RAM", .dataTransferError, .admin(.identify, prp1: 1 << 40, 1)),
      Row("data at odd place", .prpOffsetInvalid, .admin(.identify, prp1: data + 1, 1)),
      Row("feature 0", .invalidField, .admin(.getFeatures, 0)),
      Row("feature 3", .invalidField, .admin(.getFeatures, 3)),
      Row("feature 0xE", .invalidField, .admin(.setFeatures, 0x0E)),
      Row("saved feature", .featureNotSaveable, .admin(.setFeatures, 1 << 31 | 1)),
      Row("default value", .invalidField, .admin(.getFeatures, 1 << 8 | 1)),
      Row("power state 1", .invalidField, .admin(.setFeatures, 2, 1)),
      Row("65536 queues", .invalidField, .admin(.setFeatures, 7, 0xFFFF)),
      Row("vector 5", .invalidField, .admin(.getFeatures, 9, 5)),
      Row("log page 0x80", .invalidLogPage, .admin(.getLogPage, prp1: data, 0x80)),
      Row("log of 16 GiB", .invalidField, .admin(.getLogPage, prp1: data, .max - 0xFD, 0xFFFF)),
      Row(
        "completion queue 0", .invalidQueueIdentifier,
        .admin(.createCompletionQueue, prp1: ring, size, 1)),
      Row(
        "completion queue 5", .invalidQueueIdentifier,
        .admin(.createCompletionQueue, prp1: ring, size | 5, 1)),
      Row("one entry", .invalidQueueSize, .admin(.createCompletionQueue, prp1: ring, 1, 1)),
      Row(
        "1025 entries", .invalidQueueSize,
        .admin(.createCompletionQueue, prp1: ring, 1024 << 16 | 1, 1)),
      Row("not contiguous", .invalidField, .admin(.createCompletionQueue, prp1: ring, size | 1, 0)),
      Row(
        "ring with offset", .prpOffsetInvalid,
        .admin(.createCompletionQueue, prp1: ring + 8, size | 1, 1)),
      Row(
        "ring outside RAM", .dataTransferError,
        .admin(.createCompletionQueue, prp1: 0x7F_F000, 1023 << 16 | 1, 1)),
      Row(
        "ring at the end", .dataTransferError,
        .admin(.createCompletionQueue, prp1: .max - 4095, size | 1, 1)),
      Row(
        "vector 5 of 5", .invalidInterruptVector,
        .admin(.createCompletionQueue, prp1: ring, size | 1, 5 << 16 | 3)),
      Row(
        "no completion queue", .completionQueueInvalid,
        .admin(.createSubmissionQueue, prp1: ring, size | 1, 1 << 16 | 1)),
      Row(
        "completes to admin", .invalidQueueIdentifier,
        .admin(.createSubmissionQueue, prp1: ring, size | 1, 1)),
      Row(
        "completes to 9", .invalidQueueIdentifier,
        .admin(.createSubmissionQueue, prp1: ring, size | 1, 9 << 16 | 1)),
      Row("deletes admin", .invalidQueueIdentifier, .admin(.deleteSubmissionQueue, 0)),
      Row("deletes none", .invalidQueueIdentifier, .admin(.deleteSubmissionQueue, 1)),
      Row("deletes completion 0", .invalidQueueIdentifier, .admin(.deleteCompletionQueue, 0)),
      Row("deletes completion 9", .invalidQueueIdentifier, .admin(.deleteCompletionQueue, 9)),
    ])
  func refused(row: Row) throws {
    #expect(try disk.admin.run(row.command).status == row.status)
  }

  @Test("SGLs and fused commands are refused", arguments: [0x01, 0x02, 0x40, 0x80] as [UInt8])
  func forms(flags: UInt8) throws {
    var command = NVMeCommand.admin(.getFeatures, 1)
    command.flags = flags
    #expect(try disk.admin.run(command).status == .invalidField)
  }

  @Test("queue identifiers are free again after deletion, in the right order")
  func queueLife() throws {
    for _ in 0..<3 {
      let pair = try disk.makePair(1)
      #expect(try pair.run(.io(.flush, 0, 1)).status == .success)
      let again = NVMeCommand.admin(.createCompletionQueue, prp1: Self.ring, Self.size | 1, 1)
      #expect(try disk.admin.run(again).status == .invalidQueueIdentifier)
      let sequence = try disk.admin.run(.admin(.setFeatures, 7, 0x0003_0003))
      #expect(sequence.status == .commandSequenceError)
      let early = try disk.admin.run(.admin(.deleteCompletionQueue, 1))
      #expect(early.status == .invalidQueueDeletion)
      #expect(try disk.admin.run(.admin(.deleteSubmissionQueue, 1)).status == .success)
      #expect(try disk.admin.run(.admin(.deleteCompletionQueue, 1)).status == .success)
    }
  }

  @Test("features are stored, and gone after a reset", arguments: [1, 2, 4, 5, 6, 8, 0x0A, 0x0B])
  func features(feature: UInt32) throws {
    let before = try disk.admin.run(.admin(.getFeatures, feature)).result
    let value: UInt32 = feature == 2 ? 0x20 : 0x1234
    #expect(try disk.admin.run(.admin(.setFeatures, feature, value)).status == .success)
    #expect(try disk.admin.run(.admin(.getFeatures, feature)).result == value)
    let fresh = NVMeFeatures(pairCount: 4)
    #expect(try fresh.get(.admin(.getFeatures, feature)) == before)
  }

  @Test("as many queues are granted as there are, whatever is asked for")
  func numberOfQueues() throws {
    #expect(try disk.admin.run(.admin(.setFeatures, 7, 0x0000_00FF)).result == 0x0003_0003)
    #expect(try disk.admin.run(.admin(.getFeatures, 7)).result == 0x0003_0003)
    #expect(try disk.admin.run(.admin(.setFeatures, 9, 1 << 16 | 2)).status == .success)
    #expect(try disk.admin.run(.admin(.getFeatures, 9, 2)).result == 1 << 16 | 2)
  }

  @Test("log pages", arguments: [1, 2, 3, 5] as [UInt32])
  func logPages(page: UInt32) throws {
    try disk.memory.fill(at: GPA(Self.data), byteCount: 4096, with: 0xA5)
    let reply = try disk.admin.run(.admin(.getLogPage, prp1: Self.data, 127 << 16 | page))
    #expect(reply.status == .success)
    let bytes = try disk.memory.read(at: GPA(Self.data), byteCount: 513)
    #expect(bytes[512] == 0xA5)
    switch page {
    case 2: #expect(bytes.loadLE(at: 1, as: UInt16.self) == 300 && bytes[3] == 100)
    case 3: #expect(bytes[0] == 1 && bytes[8] == UInt8(ascii: "1"))
    case 5: #expect(bytes[4 * 6] == 1 && bytes[4 * 7] == 0)
    default: #expect(bytes[..<512].allSatisfy { $0 == 0 })
    }
  }

  @Test("event requests are parked, the fifth is one too many; a reset drops them")
  func events() throws {
    for _ in 0..<4 { try disk.admin.enqueue(.admin(.asynchronousEventRequest)) }
    disk.admin.ring()
    // Threads of the disk take them side by side: all four are parked before the fifth comes.
    let engine = disk.controller.engine
    while engine.state.withLock({ $0.parkedEventCount < 4 }) { TestThreads.nap(microseconds: 100) }
    let fifth = try disk.admin.run(.admin(.asynchronousEventRequest))
    #expect(fifth.status == .eventRequestLimitExceeded)
    #expect(try disk.admin.run(.admin(.abort, 0)).result == 1)
    #expect(try disk.admin.poll() == nil)
    disk.write(0x14, 0x46_0000)
    #expect(disk.read(0x1C) == 0)
  }
}
