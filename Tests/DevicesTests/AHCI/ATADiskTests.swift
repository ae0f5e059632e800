import Bytes
import GuestMemory
import TestSupport
import Testing

@testable import Devices

/// A disk behind the adapter.
struct ATADiskTests {
  private static let sectors = pattern(512 << 11, seed: 9)

  @Test(
    "every read finds its sectors",
    arguments: [(0x25, 1), (0xC8, 1), (0x20, 2), (0x24, 2), (0xC4, 2), (0x29, 2)]
      as [(UInt8, UInt32)])
  func reads(code: UInt8, interrupts: UInt32) throws {
    let adapter = try TestAdapter([.disk(FaultyStore(Self.sectors), serial: "D")])
    #expect(
      try adapter.run(TestAdapter.fis(code, lba: 7, count: 3, device: 0x40))
        == .init(status: 0x50, error: 0, interrupts: interrupts, byteCount: 1536))
    #expect(try adapter.bytes(1536) == Array(Self.sectors[3584..<5120]))
  }

  @Test("every write is there", arguments: [0x35, 0x3D, 0xCA, 0x30, 0x34, 0xC5, 0x39] as [UInt8])
  func writes(code: UInt8) throws {
    let store = FaultyStore(Self.sectors)
    let adapter = try TestAdapter([.disk(store, serial: "D")])
    let new = pattern(1024, seed: 3)
    try adapter.memory.write(new, at: GPA(TestAdapter.data))
    #expect(
      try adapter.run(TestAdapter.fis(code, lba: 2046, count: 2, device: 0x40))
        == .init(status: 0x50, error: 0, interrupts: 1, byteCount: 1024))
    #expect(store.contents == Self.sectors.dropLast(1024) + new)
    // *FUA* is safe from a loss of power, the others after a flush.
    #expect((store.durable == store.contents) == (code == 0x3D))
    #expect(try adapter.run(TestAdapter.fis(0xEA)).status == 0x50)
    #expect(store.durable == store.contents)
  }

  /// Tables that end before the data: none at all, and too short by two bytes.
  @Test(arguments: [[], [(TestAdapter.data, 512), (TestAdapter.data, 510)]] as [[(UInt64, Int)]])
  func shortTables(regions: [(UInt64, Int)]) throws {
    let store = FaultyStore(Self.sectors)
    let adapter = try TestAdapter([.disk(store, serial: "D")])
    try adapter.memory.write(pattern(1024, seed: 3), at: GPA(TestAdapter.data))
    // A disk that lacks data has written nothing.
    for code in [0x35, 0xCA, 0x30, 0x34] as [UInt8] {
      #expect(
        try adapter.run(
          TestAdapter.fis(code, lba: 5, count: 2, device: 0x40), regions: regions)
          == .init(status: 0x51, error: 0x04, interrupts: 0x4100_0001, byteCount: 0))
    }
    #expect(store.contents == Self.sectors)
    // What is read goes as far as there is room, and the port says that this was not enough.
    let room = regions.reduce(0) { $0 + $1.1 }
    for (code, interrupts) in [(0x25, 0x0100_0001), (0x20, 0x0100_0002)] as [(UInt8, UInt32)] {
      #expect(
        try adapter.run(
          TestAdapter.fis(code, lba: 5, count: 2, device: 0x40), regions: regions)
          == .init(status: 0x50, error: 0, interrupts: interrupts, byteCount: UInt32(room)))
    }
    // The next command is as any.
    #expect(
      try adapter.run(TestAdapter.fis(0x35, lba: 5, count: 2, device: 0x40))
        == .init(status: 0x50, error: 0, interrupts: 1, byteCount: 1024))
  }

  /// What fails, and how.
  @Test(
    arguments: [
      (0x25, 2048, 1, 0x10), (0x25, 2047, 2, 0x10), (0x35, 0xFFFF_FFFF_FFFF, 0, 0x10),
      (0x42, 2048, 1, 0x10), (0x40, 2047, 1, nil), (0x42, 0, 2048, nil), (0x60, 0, 1, 0x04),
      (0xA1, 0, 0, 0x04),
      (0x00, 0, 0, 0x04), (0x06, 0, 0, 0x04),
    ] as [(UInt8, UInt64, UInt16, UInt8?)])
  func failures(code: UInt8, lba: UInt64, count: UInt16, error: UInt8?) throws {
    let adapter = try TestAdapter([.disk(FaultyStore(Self.sectors), serial: "D")])
    let reply = try adapter.run(TestAdapter.fis(code, lba: lba, count: count, device: 0x40))
    #expect(reply.status == (error == nil ? 0x50 : 0x51))
    #expect(reply.error == error ?? 0)
    #expect(reply.byteCount == 0)
  }

  @Test func failuresOfTheHost() throws {
    let store = FaultyStore(Self.sectors)
    let adapter = try TestAdapter([.disk(store, serial: "D")])
    store.fail(.read, .short)
    #expect(try adapter.run(TestAdapter.fis(0x25, count: 1)).error == 0x40)
    store.fail(.write, .host(28))
    #expect(try adapter.run(TestAdapter.fis(0x35, count: 1)).error == 0x04)
    store.fail(.flush, .host(5))
    #expect(try adapter.run(TestAdapter.fis(0xE7)).error == 0x04)
  }
}
