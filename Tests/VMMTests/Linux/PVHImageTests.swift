import Bytes
import DeviceKit
import GuestMemory
import TestSupport
import Testing

@testable import VMM

@Suite struct PVHImageTests {
  private func failure(_ bytes: [UInt8]) -> LinuxImageError? {
    do throws(MachineError) {
      _ = try LinuxImage(BootFile(bytes, name: "kernel k"))
      return nil
    } catch {
      if case .kernel(let error) = error { return error }
      return nil
    }
  }

  @Test func segmentsAndEntry() throws {
    let image = try PVHImage(BootFile(SyntheticImages.elf(), name: "k"))
    #expect(image.entry == SyntheticImages.entry)
    #expect(image.segments.map(\.addresses) == [0x100_0040..<0x100_1040, 0x110_0000..<0x110_0010])
    #expect(image.segments.map(\.fileByteCount) == [0x100, 0x10])
  }

  /// Offset, width in bytes, value, and the field that the error names.
  static let corruptions: [(offset: Int, byteCount: Int, value: UInt64, name: String)] = {
    let first = SyntheticImages.programHeader(0)
    let note = SyntheticImages.programHeader(2)
    return [
      (4, 1, 1, "EI_CLASS"), (5, 1, 2, "EI_DATA"), (16, 2, 3, "e_type"), (18, 2, 3, "e_machine"),
      (54, 2, 55, "e_phentsize"), (56, 2, 0, "e_phnum"), (56, 2, 129, "e_phnum"),
      (32, 8, 63, "e_phoff"), (first + 40, 8, 0xFF, "p_memsz"),
      (first + 24, 8, 0xF_FFFF, "p_paddr"),
      (first + 24, 8, ~0xFFE, "p_paddr"), (note + 32, 8, 0x1_0001, "p_filesz"),
      (0x340, 4, 0x29, "n_namesz"), (0x344, 4, ~0 >> 32, "n_descsz"), (0x364, 4, 3, "n_descsz"),
    ]
  }()

  @Test(arguments: corruptions)
  func corruption(_ row: (offset: Int, byteCount: Int, value: UInt64, name: String)) {
    var bytes = SyntheticImages.elf()
    for index in 0..<row.byteCount {
      bytes[row.offset + index] = UInt8(truncatingIfNeeded: row.value >> (8 * index))
    }
    guard case .field(_, let name, let offset, let value, _) = failure(bytes) else {
      Issue.record("\(String(describing: failure(bytes)))")
      return
    }
    #expect(name == row.name && offset == UInt64(row.offset) && value == row.value)
  }

  /// Parts that would reach over the file's end, wrapping or not.
  @Test(
    arguments: [
      (32, 0x400 - 167), (32, ~0), (SyntheticImages.programHeader(0) + 8, 0x301),
      (SyntheticImages.programHeader(0) + 8, ~0), (SyntheticImages.programHeader(2) + 8, 0x3CD),
    ] as [(Int, UInt64)])
  func outsideTheFile(offset: Int, value: UInt64) {
    var bytes = SyntheticImages.elf()
    bytes.storeLE(value, at: offset)
    guard case .tooShort(_, 0x400, _, _) = failure(bytes) else {
      Issue.record("\(String(describing: failure(bytes)))")
      return
    }
  }

  @Test func overlappingSegments() {
    var bytes = SyntheticImages.elf()
    bytes.storeLE(UInt64(0x100_103F), at: SyntheticImages.programHeader(1) + 24)
    #expect(failure(bytes)?.description.contains("overlap") == true)
  }

  @Test func notesThatDoNotHelp() {
    var other = SyntheticImages.elf()
    other.storeLE(UInt32(17), at: 0x368)
    #expect(
      failure(other) == .note(file: "kernel k", problem: "no Xen note PHYS32_ENTRY (type 18)"))
    var outside = SyntheticImages.elf()
    outside.storeLE(UInt32(0x100_1040), at: 0x370)
    #expect(
      failure(outside)
        == .note(
          file: "kernel k", problem: "the PHYS32_ENTRY note's address 0x1001040 is in no segment"))
  }

  @Test func truncations() {
    let bytes = SyntheticImages.elf()
    for count in 0..<0x374 {
      #expect(failure(Array(bytes[..<count])) != nil, "\(count) bytes")
    }
  }

  @Test(arguments: [1, 2, 3, 4] as [UInt64])
  func randomDamage(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let good = SyntheticImages.elf()
    for _ in 0..<500 {
      var bytes = good
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        let place =
          Bool.random(using: &generator)
          ? Int.random(in: 4..<232, using: &generator)
          : Int.random(in: 0x340..<0x374, using: &generator)
        bytes[place] = UInt8.random(in: 0...255, using: &generator)
      }
      let memory: UInt64 = 1 << Int.random(in: 20...34, using: &generator)
      guard let plan = try? makePlan(bytes, initrd: [1], memory: memory) else { continue }
      if memory <= 64 << 20 { try plan.load(into: GuestMemory(layout: plan.layout)) }
    }
  }
}
