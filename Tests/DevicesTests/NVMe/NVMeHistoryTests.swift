import Bytes
import Glibc
import GuestMemory
import Testing
import ZeroTracker

@testable import DeviceKit
@testable import Devices

/// What a disk tells of its past: error log, health log, and where Identify announces them.
@Suite(.timeLimit(.minutes(10))) struct NVMeHistoryTests {
  private static let data: UInt64 = 0x20_0000
  private static let hour: Int64 = 3_600_000_000_000

  private let store = FaultyStore(pattern(1 << 20, seed: 4))
  private let clock = ManualClock(5 * Self.hour)
  private let history: NVMeHistory
  private let disk: TestDisk

  init() throws {
    let clock = clock
    history = NVMeHistory { UInt64(clock.nanoseconds) }
    disk = try TestDisk(store, history: history)
  }

  private func log(_ page: UInt32, byteCount: Int, offset: UInt32 = 0) throws -> [UInt8] {
    var command = NVMeCommand.admin(
      .getLogPage, prp1: Self.data, prp2: Self.data + 4096, UInt32(byteCount / 4 - 1) << 16 | page)
    command.dwords[2] = offset
    #expect(try disk.admin.run(command).status == .success)
    return try disk.memory.read(at: GPA(Self.data), byteCount: byteCount)
  }

  private func health(_ offset: Int) throws -> UInt64 {
    try log(2, byteCount: 512).loadLE(at: offset)
  }

  @Test("failed commands are in the error log, the newest first, and are counted")
  func errors() throws {
    let queue = try disk.makePair(1)
    #expect(try log(1, byteCount: 4096).allSatisfy { $0 == 0 })
    #expect(try health(160) == 0 && health(176) == 0)
    store.fail(.read, .host(EIO))
    let read = try queue.run(.io(.read, 0x1234 % 2000, 2))
    #expect(read.status == .unrecoveredReadError)
    let identify = try disk.admin.run(.admin(.identify, namespace: 7, prp1: Self.data, 0))
    #expect(identify.status == .invalidNamespace)
    let flush = try queue.run(.io(.flush, 5, 1, namespace: 3))
    #expect(flush.status == .invalidNamespace)
    store.fail(.read, nil)
    #expect(try queue.run(.io(.read, 0, 1)).status == .success)

    let entries = try log(1, byteCount: 256)
    for (index, expected) in [
      (3, 1, flush.identifier, UInt16(0x400B), 0, 3),
      (2, 0, identify.identifier, 0x400B, 0, 7),
      (1, 1, read.identifier, 0x0281, 0x1234 % 2000, 1),
    ].enumerated() {
      let entry = Array(entries[(64 * index)..<(64 * index + 64)])
      #expect(entry.loadLE(at: 0, as: UInt64.self) == UInt64(expected.0))
      #expect(entry.loadLE(at: 8, as: UInt16.self) == UInt16(expected.1))
      #expect(entry.loadLE(at: 10, as: UInt16.self) == expected.2)
      #expect(
        entry.loadLE(at: 12, as: UInt16.self) == (expected.3 | NVMeStatus.more) << 1)
      #expect(entry.loadLE(at: 14, as: UInt16.self) == 0xFFFF)
      #expect(entry.loadLE(at: 16, as: UInt64.self) == UInt64(expected.4))
      #expect(entry.loadLE(at: 24, as: UInt32.self) == UInt32(expected.5))
      #expect(entry[28...].allSatisfy { $0 == 0 })
    }
    #expect(entries[192...].allSatisfy { $0 == 0 })
    #expect(try health(160) == 1 && health(176) == 3)
    #expect(
      history.counts
        == NVMeHistory.Counts(
          readCommands: 1, readBytes: 512, writeCommands: 0, writtenBytes: 0, failures: 3))
    // A part of the page, as the announced bit of extended data allows.
    #expect(try log(1, byteCount: 64, offset: 64) == Array(entries[64..<128]))
  }

  @Test("the log keeps the last 64 entries, and the count goes on")
  func full() throws {
    for _ in 0..<200 {
      #expect(try disk.admin.run(.admin(.getFeatures, 0)).status == .invalidField)
    }
    let bytes = try log(1, byteCount: 4096)
    let numbers = stride(from: 0, to: 4096, by: 64).map { bytes.loadLE(at: $0, as: UInt64.self) }
    let expected: [UInt64] = (137...200).reversed()
    #expect(numbers == expected)
    #expect(try health(176) == 200)
  }

  @Test("hours since it was switched on, and that it was once")
  func power() throws {
    #expect(try health(112) == 1 && health(128) == 0)
    clock.advance(by: Self.hour - 1)
    #expect(try health(128) == 0)
    clock.advance(by: 1)
    #expect(try health(128) == 1)
    clock.advance(by: 999 * Self.hour)
    #expect(try health(128) == 1000)
  }

  @Test("data units are thousands of 512 bytes, rounded up; commands are counted one by one")
  func units() throws {
    let queue = try disk.makePair(1)
    for page in 0..<128 as Range<UInt64> {
      try disk.memory.store(0x30_0000 + page * 4096, at: GPA(0x40_0000 + page * 8))
    }
    for _ in 0..<3 {
      #expect(try queue.run(.io(.read, 0, 8)).status == .success)
    }
    #expect(try health(32) == 1 && health(64) == 3 && health(48) == 0 && health(80) == 0)
    let large = NVMeCommand.io(.write, 0, 1000, prp1: 0x30_0000, prp2: 0x40_0008)
    #expect(try queue.run(large).status == .success)
    #expect(try health(48) == 1 && health(80) == 1)
    #expect(try queue.run(.io(.write, 0, 1)).status == .success)
    #expect(try health(48) == 2 && health(80) == 2)
    // Zeroes are no data units (NVMe 1.4, figure 194).
    #expect(try queue.run(.io(.writeZeroes, 0, 1000)).status == .success)
    #expect(try health(48) == 2 && health(80) == 2)
  }

  @Test("a reset of the controller and a new one, as after a machine's reset, forget nothing")
  func lives() throws {
    let queue = try disk.makePair(1)
    #expect(try queue.run(.io(.read, 0, 1)).status == .success)
    #expect(try queue.run(.io(.read, 1 << 40, 1)).status == .lbaOutOfRange)
    disk.controller.reset()
    let next = try TestDisk(store, history: history)
    let command = NVMeCommand.admin(.getLogPage, prp1: Self.data, 127 << 16 | 2)
    #expect(try next.admin.run(command).status == .success)
    let bytes = try next.memory.read(at: GPA(Self.data), byteCount: 512)
    #expect(bytes.loadLE(at: 64, as: UInt64.self) == 1)
    #expect(bytes.loadLE(at: 176, as: UInt64.self) == 1)
  }
}
