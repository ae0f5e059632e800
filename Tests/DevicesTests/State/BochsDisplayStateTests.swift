import DeviceKit
import TestSupport
import Testing

@testable import Devices

/// The display's registers, saved and restored; its memory is the endpoint's.
@Suite struct BochsDisplayStateTests {
  private func makeDisplay() throws -> BochsDisplay {
    try BochsDisplay(width: 1280, height: 800, context: PCIContext())
  }

  private func set(_ display: BochsDisplay, _ index: UInt64, _ value: UInt64) {
    display.writeBAR(2, offset: 0x500 + 2 * index, width: 2, value: value)
  }

  /// A picture in a larger one.
  private func begin() throws -> BochsDisplay {
    let display = try makeDisplay()
    for (index, value): (UInt64, UInt64) in [
      (3, 32), (1, 1024), (2, 768), (6, 2000), (8, 20), (9, 30), (4, 0xC1),
    ] { set(display, index, value) }
    return display
  }

  private static func registers(_ display: BochsDisplay) -> [UInt64] {
    stride(from: UInt64(0), to: 0x600, by: 2).map { display.readBAR(2, offset: $0, width: 2) }
  }

  @Test("the same is shown, as a picture that viewers do not know")
  func moves() throws {
    let old = try begin()
    let mode = try #require(old.mode)
    let new = try makeDisplay()
    _ = new.takeWrittenPages()
    try StateHarness.move(old, to: new, registers: Self.registers)
    #expect(new.mode == mode)
    #expect(new.takeWrittenPages().allSatisfy { $0 == .max })
    set(new, 8, 21)
    #expect(new.mode?.offset == mode.offset + 4)
  }

  @Test("damaged state is refused, or does no harm")
  func damage() throws {
    let bytes = try StateHarness.save(try begin())
    let display = try makeDisplay()
    // One for all: a display's memory is large, and its state has no more than values.
    let accepted = try StateHarness.damage(bytes, mutationCount: 2000) {
      display
    } drive: { display, generator in
      if let mode = display.mode {
        #expect(display.line(mode.height - 1, of: mode).count == 4 * mode.width)
      }
      _ = Self.registers(display)
      let index = UInt64.random(in: 0...10, using: &generator)
      set(display, index, .random(in: 0...0xFFFF, using: &generator))
      if let mode = display.mode { _ = display.line(0, of: mode) }
    }
    #expect(accepted > 1000, "too little of it is driven")
  }
}
