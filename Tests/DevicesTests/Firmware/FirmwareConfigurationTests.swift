import Bytes
import DeviceKit
import GuestMemory
import HostSystem
import TestSupport
import Testing
import ZeroTracker

@testable import Devices

/// The device as firmware uses it, by ports and by DMA, and as a hostile guest does.
@Suite(.onVCPUThread) struct FirmwareConfigurationTests {
  private static let file: UInt16 = 0x20
  private let memory: GuestMemory
  private let device: FirmwareConfiguration

  init() throws {
    memory = try GuestMemory(
      layout: GuestMemoryLayout(ramByteCount: 4 << 20), backing: .anonymous)
    var items = FirmwareItems(vcpuCount: 1, memoryByteCount: 4 << 20, uuid: [])
    try items.add("opt/file", Array(1...100))
    device = FirmwareConfiguration(items: items, memory: memory)
  }

  private func select(_ item: UInt16) { device.write(offset: 0, width: 2, value: UInt64(item)) }

  private func next(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8(device.read(offset: 1, width: 1)) }
  }

  /// Runs a command that lies at `place`; gives the control word afterwards.
  private func run(
    control: UInt32, byteCount: UInt32, address: UInt64, at place: UInt64 = 0x1000
  ) throws -> UInt32 {
    try memory.store(control.byteSwapped, at: GPA(place))
    try memory.store(byteCount.byteSwapped, at: GPA(place + 4))
    try memory.store(address.byteSwapped, at: GPA(place + 8))
    start(place)
    return UInt32(bigEndian: try memory.load(at: GPA(place)))
  }

  private func start(_ place: UInt64) {
    device.write(offset: 4, width: 4, value: UInt64(UInt32(place >> 32).byteSwapped))
    device.write(
      offset: 8, width: 4, value: UInt64(UInt32(truncatingIfNeeded: place).byteSwapped))
  }

  @Test("bytes come one by one, then zeroes; selecting begins anew")
  func ports() {
    select(0)
    #expect(next(6) == Array("QEMU".utf8) + [0, 0])
    select(Self.file)
    #expect(next(2) == [1, 2])
    select(Self.file)
    #expect(next(101) == Array(1...100) + [0])
    select(0xFFFF)
    #expect(next(2) == [0, 0])
  }

  @Test("late contents are those of the moment when one is chosen, by ports or by DMA")
  func late() throws {
    for byDMA in [false, true] {
      let now = Guarded<UInt8>(1)
      var items = FirmwareItems(vcpuCount: 1, memoryByteCount: 4 << 20, uuid: [])
      try items.addLate([("etc/a", 1), ("etc/b", 2)]) { now.withLock { [[$0], [$0, $0]] } }
      let device = FirmwareConfiguration(items: items, memory: memory)
      now.withLock { $0 = 7 }
      if byDMA {
        try memory.store(UInt32(0x20 << 16 | 0b1010).byteSwapped, at: GPA(0x1000))
        try memory.store(UInt32(1).byteSwapped, at: GPA(0x1004))
        try memory.store(UInt64(0x2000).byteSwapped, at: GPA(0x1008))
        device.write(offset: 8, width: 4, value: UInt64(UInt32(0x1000).byteSwapped))
        #expect(try memory.load(at: GPA(0x2000), as: UInt8.self) == 7)
      } else {
        device.write(offset: 0, width: 2, value: 0x20)
        #expect(device.read(offset: 1, width: 1) == 7)
      }
      now.withLock { $0 = 8 }
      device.write(offset: 0, width: 2, value: 0x21)
      #expect(device.read(offset: 1, width: 1) == 7)
      #expect(device.read(offset: 1, width: 1) == 7)
    }
  }

  @Test("the address register says that there is DMA")
  func signature() {
    #expect(device.read(offset: 4, width: 4) & 0xFFFF_FFFF == 0x554D_4551)
    #expect(device.read(offset: 8, width: 4) == 0x4746_4320)
  }

  @Test("DMA selects, reads, skips and goes on where it was")
  func transfer() throws {
    // select | read
    #expect(try run(control: 0x0020_000A, byteCount: 3, address: 0x2000) == 0)
    #expect(try memory.read(at: GPA(0x2000), byteCount: 4) == [1, 2, 3, 0])
    #expect(try run(control: 0x4, byteCount: 10, address: 0) == 0)
    #expect(try run(control: 0x2, byteCount: 2, address: 0x2000) == 0)
    #expect(try memory.read(at: GPA(0x2000), byteCount: 3) == [14, 15, 3])
    #expect(next(1) == [16], "ports and DMA share the place")
  }

  @Test("what is asked beyond the item is zero")
  func beyond() throws {
    try memory.fill(at: GPA(0x2000), byteCount: 200, with: 0xEE)
    #expect(try run(control: 0x0020_000A, byteCount: 120, address: 0x2000) == 0)
    let bytes = try memory.read(at: GPA(0x2000), byteCount: 121)
    #expect(bytes == Array(1...100) + [UInt8](repeating: 0, count: 20) + [0xEE])
  }

  @Test("selecting alone, and a command that asks for nothing")
  func small() throws {
    #expect(try run(control: 0x0020_0008, byteCount: 0, address: 0) == 0)
    #expect(next(1) == [1])
    #expect(try run(control: 0, byteCount: 5, address: 0x2000) == 0)
    #expect(try run(control: 0x2, byteCount: 0, address: 0x2000) == 0)
  }

  @Test("nothing can be written, and nothing changes")
  func write() throws {
    #expect(try run(control: 0x0020_0018, byteCount: 4, address: 0x2000) == 1)
    select(Self.file)
    #expect(next(2) == [1, 2])
  }

  @Test(
    "addresses that are not RAM, and lengths that leave it",
    arguments: [
      (4 << 20, 1), ((4 << 20) - 50, 51), (UInt64.max, 1), (UInt64.max - 3, UInt32.max),
      (0x2000, UInt32.max), (0xFFFF_FFFF_0000_0000, 16),
    ] as [(UInt64, UInt32)])
  func hostileTargets(address: UInt64, byteCount: UInt32) throws {
    #expect(try run(control: 0x0020_000A, byteCount: byteCount, address: address) == 1)
    #expect(next(1) == [1], "nothing was consumed")
  }

  @Test(
    "commands that are not all in RAM are dropped",
    arguments: [
      (4 << 20) - 15, 4 << 20, 1 << 32, UInt64.max - 15, .max,
    ] as [UInt64])
  func hostileCommands(place: UInt64) {
    start(place)
    select(Self.file)
    #expect(next(1) == [1])
  }

  @Test("a command that overwrites itself still ends with its answer")
  func selfReference() throws {
    #expect(try run(control: 0x0020_000A, byteCount: 16, address: 0x1000) == 0)
  }

  @Test("every byte that DMA writes is known to the tracker")
  func tracked() throws {
    let pages = PageRange(start: GPN(rawValue: 0x300), pageCount: 2)
    #expect(memory.tracker.snapshot().counts(in: pages).touched == 0)
    #expect(try run(control: 0x0020_000A, byteCount: 100, address: 0x30_0FF0) == 0)
    #expect(memory.tracker.snapshot().counts(in: pages).touched == 2)
  }

  @Test("other offsets and widths do nothing")
  func others() {
    for offset in 0...UInt64(13) {
      for width in [1, 2, 4] {
        _ = device.read(offset: offset, width: width)
        if ![0, 4, 8].contains(offset) { device.write(offset: offset, width: width, value: .max) }
      }
    }
    device.write(offset: .max, width: 4, value: .max)
    #expect(device.read(offset: .max, width: 4) == 0)
    select(Self.file)
    #expect(next(1) == [1])
  }

  /// A saved file of fewer bytes than it has, or none though it is chosen, and a file that is no
  /// late one.
  @Test("files of a damaged state are refused, or take no writes")
  func damagedFiles() throws {
    var items = FirmwareItems(vcpuCount: 1, memoryByteCount: 4 << 20, uuid: [])
    for file in SystemManagementControl(onInterrupt: {}).files { try items.addLive(file) }
    func restore(completed: [UInt16] = [], _ requested: [UInt8]) throws -> FirmwareConfiguration {
      let device = FirmwareConfiguration(items: items, memory: memory)
      var bytes = UInt64(completed.count).littleEndianBytes
      for selector in completed { bytes += selector.littleEndianBytes }
      bytes += (0 as UInt64).littleEndianBytes
      bytes += UInt64(requested.count).littleEndianBytes + requested
      bytes += (0 as UInt64).littleEndianBytes
      // Chosen, at its first byte.
      bytes += (0x21 as UInt16).littleEndianBytes + (0 as UInt64).littleEndianBytes + [0, 0, 0, 0]
      var transfer = StateTransfer(restoring: bytes)
      try device.transferState(&transfer)
      try transfer.finish()
      return device
    }
    #expect(throws: StateError.self) { try restore([1, 2, 3]) }
    #expect(throws: StateError.self) { try restore(completed: [0x21], [1, 2, 3, 4, 5, 6, 7, 8]) }
    for (requested, byteCount, answer): ([UInt8], UInt32, UInt32) in [
      ([], 0, 1), ([], 8, 1), ([UInt8](repeating: 0, count: 8), 8, 0),
    ] {
      let device = try restore(requested)
      try memory.store((16 as UInt32).byteSwapped, at: GPA(0x1000))
      try memory.store(byteCount.byteSwapped, at: GPA(0x1004))
      try memory.store((0x2000 as UInt64).byteSwapped, at: GPA(0x1008))
      device.write(offset: 4, width: 4, value: 0)
      device.write(offset: 8, width: 4, value: UInt64((0x1000 as UInt32).byteSwapped))
      #expect(try memory.load(at: GPA(0x1000), as: UInt32.self).byteSwapped == answer)
    }
  }
}
