import Bytes
import DeviceKit
import Foundation
import TestSupport
import Testing

@testable import Devices

/// The display's registers, as firmware's and Linux's drivers use them.
@Suite(.onVCPUThread) struct BochsDisplayTests {
  private static let address = PCIAddress(device: 30)
  private static let memory: UInt64 = 0xC000_0000
  private static let registers: UInt64 = 0xC100_0000

  private let display: BochsDisplay
  private let host: PCIHost

  init() throws {
    display = try BochsDisplay(width: 1280, height: 800, context: PCIContext())
    host = PCIHost([(Self.address, display)])
    host.assignResources(window: Self.memory..<0xC200_0000, ports: 0..<0)
    host.writeConfiguration(Self.address, offset: 4, width: 2, value: 2)
  }

  private func set(_ index: UInt64, _ value: UInt64) {
    #expect(host.writeMemory(Self.registers + 0x500 + 2 * index, width: 2, value: value))
  }

  private func get(_ index: UInt64) -> UInt64? {
    host.readMemory(Self.registers + 0x500 + 2 * index, width: 2).map { $0 & 0xFFFF }
  }

  /// The ten writes of OVMF's QemuVideoDxe.
  private func setMode(_ width: UInt64, _ height: UInt64) {
    for (index, value) in [
      (4, 0), (5, 0), (8, 0), (9, 0), (3, 32), (1, width), (6, width), (2, height), (7, height),
      (4, 0x41),
    ] as [(UInt64, UInt64)] {
      set(index, value)
    }
  }

  @Test("identity, and the registers after reset")
  func identity() {
    #expect(
      host.readConfiguration(Self.address, offset: 0, width: 4) & 0xFFFF_FFFF == 0x1111_1234)
    #expect(host.readConfiguration(Self.address, offset: 8, width: 4) >> 8 & 0xFF_FFFF == 0x3_0000)
    #expect((0..<11).map { get($0) } == [0xB0C5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 256])
    #expect(display.mode == nil)
    // Two registers at once, and none.
    #expect(host.readMemory(Self.registers + 0x500, width: 4) == 0xB0C5)
    for offset: UInt64 in [0x80, 0x400, 0x501, 0x516, 0x600, 0xFF8] {
      #expect(host.readMemory(Self.registers + offset, width: 2) == 0)
    }
  }

  @Test("firmware's mode set is followed, and a picture is where its driver draws")
  func modeSet() {
    setMode(1280, 800)
    #expect(
      display.mode == DisplayMode(width: 1280, height: 800, lineByteCount: 5120, offset: 0))
    #expect(get(7) == 3276)
    // Without a mapper accesses exit.
    #expect(host.writeMemory(Self.memory + 5120 + 8, width: 4, value: 0x00FF_8040))
    #expect(display.line(1, of: display.mode!)[8..<12] == [0x40, 0x80, 0xFF, 0])
    #expect(display.line(0, of: display.mode!).allSatisfy { $0 == 0 })
    set(4, 0)
    #expect(display.mode == nil)
    set(4, 0xC1)
    #expect(display.line(1, of: display.mode!)[8] == 0x40, "kept")
    set(4, 0)
    set(4, 0x41)
    #expect(display.line(1, of: display.mode!)[8] == 0, "cleared")
  }

  @Test("written pages: all without a log, the guest's with one, all when the picture was cleared")
  func writtenPages() {
    setMode(1280, 800)
    let all = [UInt64](repeating: .max, count: 64)
    let none = [UInt64](repeating: 0, count: 64)
    #expect(display.takeWrittenPages() == all)
    display.setLogsWrites(true)
    #expect(display.takeWrittenPages() == all)
    #expect(display.takeWrittenPages() == none)
    #expect(host.writeMemory(Self.memory + 4096 * 65 + 8, width: 4, value: 1))
    var one = none
    one[1] = 2
    #expect(display.takeWrittenPages() == one)
    // Off and on again between two looks, in the same mode: black, which the guest did not write.
    set(4, 0)
    set(4, 0x41)
    #expect(display.takeWrittenPages() == all)
    #expect(display.takeWrittenPages() == none)
    display.setLogsWrites(false)
    #expect(display.takeWrittenPages() == all)
    #expect(display.preferredSize == (1280, 800))
    let mode = display.mode!
    #expect(host.writeMemory(Self.memory + 5120, width: 4, value: 7))
    var seen: (byteCount: Int, pixel: UInt32) = (0, 0)
    display.withLine(1, of: mode) { seen = ($0.byteCount, $0.loadLE(at: 0)) }
    #expect(seen == (5120, 7))
  }

  @Test("a picture within a larger one: longer lines, and offsets")
  func panning() {
    setMode(1024, 768)
    set(6, 2048)
    set(8, 16)
    set(9, 2)
    #expect(
      display.mode
        == DisplayMode(
          width: 1024, height: 768, lineByteCount: 8192, offset: 2 * 8192 + 64))
    #expect(get(7) == 2048)
    // Lines are never shorter than the picture.
    set(6, 100)
    #expect(display.mode?.lineByteCount == 4096 && get(6) == 1024)
  }

  @Test(
    "what would lie past the end of the memory, has no size or another depth, is not shown",
    arguments: [
      [(1, 4096), (2, 1025)], [(1, 0)], [(2, 0)], [(3, 24)], [(3, 0)], [(9, 3300)],
      [(6, 0xFFFF), (2, 65)], [(1, 0xFFFF), (2, 0xFFFF), (8, 0xFFFF), (9, 0xFFFF)],
    ] as [[(UInt64, UInt64)]])
  func impossible(writes: [(UInt64, UInt64)]) {
    setMode(1280, 800)
    for (index, value) in writes { set(index, value) }
    #expect(display.mode == nil)
    set(4, 0)
    set(4, 0x41)
    #expect(display.mode == nil)
  }

  @Test("the largest picture that fits ends with the memory")
  func largest() {
    setMode(4096, 1024)
    #expect(display.mode?.height == 1024)
    #expect(display.line(1023, of: display.mode!).count == 16384)
    set(8, 1)
    #expect(display.mode == nil)
  }

  @Test("asked for its capabilities, it says the largest size")
  func capabilities() {
    set(4, 2)
    #expect((1...3).map { get($0) } == [16000, 12000, 32])
    set(4, 0)
    #expect((1...3).map { get($0) } == [0, 0, 0])
  }

  @Test("resets turn it off", arguments: [true, false])
  func reset(isFunctionReset: Bool) {
    setMode(1280, 800)
    if isFunctionReset { display.functionLevelReset() } else { display.reset() }
    #expect(display.mode == nil)
  }

  @Test("accesses of all widths, anywhere, leave it whole")
  func hostile() {
    var generator = SeededGenerator(seed: 0xB0C5)
    for _ in 0..<20_000 {
      let width = [1, 2, 4, 8].randomElement(using: &generator) ?? 1
      let offset = UInt64.random(in: 0...(4096 - UInt64(width)), using: &generator)
      let place = Bool.random(using: &generator) ? offset : 0x500 + offset % 22
      guard place + UInt64(width) <= 4096 else { continue }
      if Bool.random(using: &generator) {
        _ = host.writeMemory(Self.registers + place, width: width, value: generator.next())
      } else {
        _ = host.readMemory(Self.registers + place, width: width)
      }
      if let mode = display.mode {
        let end = mode.offset + mode.lineByteCount * (mode.height - 1) + 4 * mode.width
        #expect(end <= 16 << 20, "seed 0xB0C5")
      }
    }
    #expect(get(0) == 0xB0C5)
  }

  @Test("the memory is large enough for the size that the monitor prefers")
  func memorySize() throws {
    for (width, height, megabytes) in [
      (1024, 768, 16), (2560, 1600, 16), (3840, 2160, 32), (4095, 4095, 64),
    ] {
      let display = try BochsDisplay(width: width, height: height, context: PCIContext())
      #expect(display.configuration.bars[0].byteCount == UInt64(megabytes) << 20)
    }
  }

  @Test("the monitor's data are where the drivers look, with a sum of zero")
  func monitor() {
    let edid = (0..<128).map { offset in
      UInt8(truncatingIfNeeded: host.readMemory(Self.registers + UInt64(offset), width: 1) ?? 0)
    }
    #expect(edid == EDID.bytes(width: 1280, height: 800))
    #expect(edid.reduce(0, &+) == 0)
    #expect(edid.prefix(8) == [0, 255, 255, 255, 255, 255, 255, 0])
    // 1280 and 800 in the preferred timing.
    #expect(edid[56] == 0x00 && edid[58] >> 4 == 5 && edid[59] == 0x20 && edid[61] >> 4 == 3)
  }
}

/// The monitor's data as a parser that is not ours sees them: edid-decode.
@Suite(
  .enabled(
    if: FileManager.default.isExecutableFile(atPath: "/usr/bin/edid-decode"),
    "needs edid-decode, from the Debian package of that name"))
struct EDIDDecodeTests {
  @Test(
    "conforms, and prefers the size",
    arguments: [(1024, 768), (1280, 800), (1920, 1080), (3840, 2160), (4095, 4095)])
  func conforms(width: Int, height: Int) throws {
    let file = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try Data(EDID.bytes(width: width, height: height)).write(to: file)
    defer { try? FileManager.default.removeItem(at: file) }
    let text = try Program.run("/usr/bin/edid-decode", ["--check", file.path]).text
    #expect(text.contains("EDID conformity: PASS"), "\(text)")
    #expect(text.contains("DTD 1:  \(width)x\(height)"), "\(text)")
    #expect(text.contains("Display Product Name: 'vmm-run'"), "\(text)")
  }
}
