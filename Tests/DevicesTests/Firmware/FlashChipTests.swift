import GuestMemory
import TestSupport
import Testing

@testable import Devices

@Suite(.onVCPUThread) struct FlashChipTests {
  private let store = RecordingFlashStore(byteCount: 4 * 4096)
  private let failures = Recorder<FlashStoreError>()
  private let modes = Recorder<Bool>()
  private let chip: FlashChip

  init() throws {
    chip = try FlashChip(store: store) { [failures] in failures.append($0) }
    chip.reset { [modes] in modes.append($0) }
  }

  private func write(_ bytes: UInt8..., at offset: UInt64) {
    for byte in bytes { chip.write(offset: offset, width: 1, value: UInt64(byte)) }
  }

  @Test("a programmed byte is stored before the guest can find it, and saved on the way back")
  func program() {
    write(0x10, 0x5A, at: 7)
    #expect(chip.read(offset: 7, width: 1) == 0x80)
    #expect(store.calls == [.write([0x5A], at: 7)])
    write(0xFF, at: 7)
    #expect(store.calls.last == .flush)
    #expect(chip.read(offset: 6, width: 4) == 0xFFFF_5AFF)
    #expect(chip.contents.read(at: 7, byteCount: 1) == [0x5A])
  }

  @Test("programming clears bits and sets none")
  func bits() {
    write(0x40, 0b1100_1111, 0x40, 0b1010_1010, 0xFF, at: 0)
    #expect(chip.read(offset: 0, width: 1) == 0b1000_1010)
  }

  @Test("an erase fills the block around the address, and no other", arguments: [4096, 5000, 8191])
  func erase(offset: UInt64) {
    for block in 0..<4 { write(0x10, 0, at: UInt64(block * 4096 + 9)) }
    write(0x20, 0xD0, 0xFF, at: offset)
    let firsts = (0..<4).map { chip.read(offset: UInt64($0 * 4096 + 9), width: 1) }
    #expect(firsts == [0, 0xFF, 0, 0])
    #expect(store.calls.contains(.write([UInt8](repeating: 0xFF, count: 4096), at: 4096)))
  }

  @Test("nothing is saved that did not change")
  func savesChangesOnly() {
    write(0x70, 0xFF, 0x50, 0xFF, 0x90, 0xFF, at: 0)
    #expect(store.calls.isEmpty)
  }

  @Test("the machine is told when reads need the chip, and when they need not")
  func readability() {
    write(0x70, 0x70, 0xFF, 0xFF, 0x10, at: 0)
    #expect(modes.values == [false, true, false])
    write(0x00, 0xFF, at: 0)
    #expect(modes.values == [false, true, false, true])
    chip.detach()
    write(0x70, at: 0)
    #expect(modes.values.count == 4)
  }

  @Test("a store that fails leaves the byte as it was, and the guest finds a failed program")
  func failure() {
    let error = FlashStoreError.system(operation: "pwrite", path: "vars", errno: 28)
    store.fail(with: error)
    write(0x10, 0x00, at: 3)
    #expect(chip.read(offset: 3, width: 1) == 0x90)
    write(0x20, 0xD0, at: 3)
    #expect(chip.read(offset: 3, width: 1) == 0xB0)
    write(0xFF, at: 3)
    #expect(chip.read(offset: 3, width: 1) == 0xFF)
    // The two changes, and the way back to the array that saves.
    #expect(failures.values == [error, error, error])
  }

  @Test("what could not be saved is saved the next time")
  func failedFlush() {
    let error = FlashStoreError.system(operation: "fdatasync", path: "vars", errno: 5)
    write(0x10, 0x12, at: 3)
    store.fail(with: error)
    write(0xFF, at: 3)
    #expect(failures.values == [error])
    store.fail(with: nil)
    write(0x70, 0xFF, at: 3)
    #expect(store.calls == [.write([0x12], at: 3), .flush])
    write(0x70, 0xFF, at: 3)
    #expect(store.calls.count == 2, "saved once")
  }

  @Test("a reset leads back to the array and saves what was not saved")
  func reset() {
    write(0x10, 0x12, at: 0)
    chip.reset { _ in }
    #expect(store.calls.last == .flush)
    #expect(chip.read(offset: 0, width: 1) == 0x12)
  }

  @Test("identifier and CFI query")
  func identity() {
    write(0x90, at: 0)
    #expect(chip.read(offset: 0, width: 2) == 0x1889)
    write(0x98, at: 0)
    let query = (0x10..<0x13).map { UInt8(chip.read(offset: UInt64($0), width: 1)) }
    #expect(query == Array("QRY".utf8))
    #expect(chip.read(offset: 0x27, width: 1) == 14, "16 KiB")
    #expect(chip.read(offset: 0x2C, width: 1) == 1, "one kind of block")
    #expect(chip.read(offset: 0x2D, width: 2) == 3, "4 blocks")
    #expect(chip.read(offset: 0x2F, width: 2) == 16, "of 16 times 256 bytes")
  }

  @Test("accesses that leave the chip")
  func edges() {
    #expect(chip.read(offset: 4 * 4096 - 1, width: 8) == .max)
    chip.write(offset: 4 * 4096 - 1, width: 8, value: 0x0010)
    write(0x77, 0xFF, at: 4 * 4096 - 1)
    #expect(chip.read(offset: 4 * 4096 - 1, width: 1) == 0x77)
    #expect(chip.read(offset: .max, width: 8) == .max)
    chip.write(offset: .max, width: 8, value: .max)
  }
}
