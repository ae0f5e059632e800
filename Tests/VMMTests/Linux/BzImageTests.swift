import GuestMemory
import TestSupport
import Testing

@testable import VMM

/// The setup header: every field that is checked, truncations, random damage.
@Suite struct BzImageTests {
  private func parse(_ bytes: [UInt8]) throws(MachineError) -> LinuxImage {
    try LinuxImage(BootFile(bytes, name: "kernel k"))
  }

  private func failure(_ bytes: [UInt8]) -> MachineError? {
    do throws(MachineError) {
      _ = try parse(bytes)
      return nil
    } catch { return error }
  }

  @Test func fields() throws {
    guard case .bzImage(let image) = try parse(SyntheticImages.bzImage()) else {
      Issue.record("not a bzImage")
      return
    }
    #expect(image.header.count == 0x26C - 0x1F1)
    #expect(image.kernelOffset == 0x400)
    #expect(image.kernelByteCount == 0x1000)
    #expect(image.preferredAddress == 0x100_0000)
    #expect(image.initByteCount == 0x20_0000)
    #expect(image.alignment == 0x20_0000)
    #expect(image.isRelocatable)
    #expect(image.initrdLimit == 0x8000_0000)
    #expect(image.maximumCommandLineByteCount == 0x7FF)
  }

  @Test func setupSectorsOfZeroAreFour() throws {
    let bytes = SyntheticImages.bzImage().with(.setupSectors, 0).with(.systemSize, 0xA0)
      .with(.payloadByteCount, 0x100)
    guard case .bzImage(let image) = try parse(bytes) else { return }
    #expect(image.kernelOffset == 5 * 512)
    #expect(image.kernelByteCount == 0xA00)
  }

  @Test func aFileMayEndInsideTheLastUnitOrGoOn() throws {
    for change in [-15, 0, 4096] {
      var bytes = SyntheticImages.bzImage()
      if change < 0 { bytes.removeLast(-change) }
      bytes += [UInt8](repeating: 1, count: max(0, change))
      guard case .bzImage(let image) = try parse(bytes) else { return }
      #expect(image.kernelByteCount == 0x1000 + min(0, change))
    }
  }

  /// Each field with a value just outside of what is good.
  static let corruptions: [(field: SetupField, value: UInt64, expected: String)] = [
    (.bootFlag, 0xAA54, "0xaa55"),
    (.magic, 0x5372_6449, "0x53726448, \"HdrS\""),
    (.version, 0x20B, "0x20c or later"),
    (.jump, 0xE9, "0xeb, a short jump over the header"),
    (.jumpDistance, 0x65, "0x66 to 0x8e"),
    (.jumpDistance, 0x8F, "0x66 to 0x8e"),
    (.loadFlags, 0xFE, "bit 0, LOADED_HIGH: a zImage cannot be loaded"),
    (.extendedLoadFlags, 0xFFFE, "bit 0, XLF_KERNEL_64: a 64-bit entry"),
    (.setupSectors, 9, "the kernel behind it, within the file"),
    (.setupSectors, 0xFF, "the kernel behind it, within the file"),
    (.systemSize, 0, "more than 0x20 and at most 4096 bytes in units of 16"),
    (.systemSize, 0x20, "more than 0x20 and at most 4096 bytes in units of 16"),
    (.systemSize, 0x101, "more than 0x20 and at most 4096 bytes in units of 16"),
    (.systemSize, 0xFFFF_FFFF, "more than 0x20 and at most 4096 bytes in units of 16"),
    (.payloadOffset, 0x1000, "less than the kernel's 4096 bytes"),
    (.payloadByteCount, 0xD35, "at most 3380 bytes, what the kernel has left"),
    (.initByteCount, 0xFFF, "4096 bytes or more"),
    (.alignment, 0, "a power of two from 0x1000 on"),
    (.alignment, 0x800, "a power of two from 0x1000 on"),
    (.alignment, 0x3000, "a power of two from 0x1000 on"),
    (.relocatable, 2, "0 or 1"),
    (
      .preferredAddress, 0xF_F000,
      "a multiple of 0x1000 from 0x100000 on, with init_size below 2^64"
    ),
    (
      .preferredAddress, 0x100_0001,
      "a multiple of 0x1000 from 0x100000 on, with init_size below 2^64"
    ),
    (
      .preferredAddress, 0xFFFF_FFFF_FFFF_F000,
      "a multiple of 0x1000 from 0x100000 on, with init_size below 2^64"
    ),
    (.initrdMaximum, 0xF_FFFF, "0x100000 or more"),
    (.commandLineByteCount, 254, "255 or more"),
  ]

  @Test(arguments: corruptions)
  func corruption(_ row: (field: SetupField, value: UInt64, expected: String)) {
    let error = failure(SyntheticImages.bzImage().with(row.field, row.value))
    let image = LinuxImageError.field(
      file: "kernel k", name: row.field.name, offset: UInt64(row.field.offset), value: row.value,
      expected: row.expected)
    #expect(error == .kernel(image))
  }

  @Test func message() {
    let error = failure(SyntheticImages.bzImage().with(.bootFlag, 0x1234))
    #expect(
      error?.description == "kernel k: boot_flag at offset 0x1fe is 0x1234, expected 0xaa55;"
        + " the file is damaged or not a kernel for x86-64")
  }

  /// All lengths of the header, and around the kernel's end.
  @Test func truncations() {
    let bytes = SyntheticImages.bzImage()
    for count in Array(0..<0x410) + Array(0x13E0..<0x13F1) {
      #expect(failure(Array(bytes[..<count])) != nil, "\(count) bytes")
    }
  }

  @Test func aTruncatedHeaderTellsWhatIsMissing() {
    let error = failure(Array(SyntheticImages.bzImage()[..<0x26B]))
    #expect(
      error
        == .kernel(
          .tooShort(
            file: "kernel k", byteCount: 0x26B, what: "the setup header", neededByteCount: 0x26C)))
  }

  /// Damaged headers never trap, neither here nor when they are placed and loaded.
  @Test(arguments: [1, 2, 3, 4] as [UInt64])
  func randomDamage(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let good = SyntheticImages.bzImage()
    for _ in 0..<500 {
      var bytes = good
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        let place = Int.random(in: 0x1F1..<0x270, using: &generator)
        bytes[place] = UInt8.random(in: 0...255, using: &generator)
      }
      let memory: UInt64 = 1 << Int.random(in: 20...34, using: &generator)
      guard let plan = try? makePlan(bytes, initrd: [1], memory: memory) else { continue }
      if memory <= 64 << 20 { try plan.load(into: GuestMemory(layout: plan.layout)) }
    }
  }
}
