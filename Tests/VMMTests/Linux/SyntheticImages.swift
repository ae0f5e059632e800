import Bytes
import DeviceKit
import GuestMemory
import KVM

@testable import VMM

/// Kernels of a few bytes, as a linker would lay them out.
enum SyntheticImages {
  /// A bzImage of 2 sectors of setup and 0x1000 bytes of kernel, 0x90 but for the entry's `code`.
  static func bzImage(code: [UInt8] = [0xF4]) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 0x400) + [UInt8](repeating: 0x90, count: 0x1000)
    let fields: [(field: SetupField, value: UInt64)] = [
      (.setupSectors, 1), (.systemSize, 0x100), (.bootFlag, 0xAA55), (.jump, 0xEB),
      (.jumpDistance, 0x6A), (.magic, BzImage.magic), (.version, 0x20F), (.loadFlags, 1),
      (.code32Start, 0x10_0000), (.initrdMaximum, 0x7FFF_FFFF), (.alignment, 0x20_0000),
      (.relocatable, 1), (.extendedLoadFlags, 0x7F), (.commandLineByteCount, 0x7FF),
      (.payloadOffset, 0x2CC), (.payloadByteCount, 0x800), (.setupData, 0xDEAD_0000),
      (.preferredAddress, 0x100_0000), (.initByteCount, 0x20_0000),
    ]
    for (field, value) in fields { bytes.set(field, value) }
    bytes.replaceSubrange(0x600..<(0x600 + code.count), with: code)
    return bytes
  }

  static let entry: UInt64 = 0x100_0040

  /// An ELF of two segments and a note: 0x100 bytes of `code` at 16 MiB + 0x40, with 0x1000 in
  /// memory, and 0x10 bytes at 17 MiB.
  static func elf(code: [UInt8] = [0xF4]) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 0x400)
    bytes.replaceSubrange(0..<7, with: [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1])
    bytes.storeLE(UInt16(2), at: 16)
    bytes.storeLE(UInt16(62), at: 18)
    bytes.storeLE(UInt64(64), at: 32)
    bytes.storeLE(UInt16(56), at: 54)
    bytes.storeLE(UInt16(3), at: 56)
    header(&bytes, 0, type: 1, offset: 0x200, file: 0x100, memory: 0x1000, address: 0x100_0040)
    header(&bytes, 1, type: 1, offset: 0x300, file: 0x10, memory: 0x10, address: 0x110_0000)
    header(&bytes, 2, type: 4, offset: 0x340, file: 0x34, memory: 0x34, address: 0)
    // A note of somebody else, then Xen's.
    bytes.replaceSubrange(0x340..<0x360, with: note("GNU", type: 18, value: Array(1...13)))
    bytes.replaceSubrange(
      0x360..<0x374, with: note("Xen", type: 18, value: [0x40, 0, 0, 1]))
    bytes.replaceSubrange(0x200..<(0x200 + code.count), with: code)
    bytes.replaceSubrange(0x300..<0x310, with: [UInt8](repeating: 0xAB, count: 16))
    return bytes
  }

  /// Where the fields of program header `index` lie.
  static func programHeader(_ index: Int) -> Int { 64 + index * 56 }

  private static func header(
    _ bytes: inout [UInt8], _ index: Int, type: UInt32, offset: UInt64, file: UInt64,
    memory: UInt64, address: UInt64
  ) {
    let place = programHeader(index)
    bytes.storeLE(type, at: place)
    bytes.storeLE(offset, at: place + 8)
    bytes.storeLE(address, at: place + 24)
    bytes.storeLE(file, at: place + 32)
    bytes.storeLE(memory, at: place + 40)
    bytes.storeLE(UInt64(4), at: place + 48)
  }

  private static func note(_ owner: String, type: UInt32, value: [UInt8]) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 16 + (value.count + 3) / 4 * 4)
    bytes.storeLE(UInt32(4), at: 0)
    bytes.storeLE(UInt32(value.count), at: 4)
    bytes.storeLE(type, at: 8)
    bytes.replaceSubrange(12..<15, with: Array(owner.utf8))
    bytes.replaceSubrange(16..<(16 + value.count), with: value)
    return bytes
  }
}

extension [UInt8] {
  mutating func set(_ field: SetupField, _ value: UInt64) {
    for index in 0..<field.byteCount {
      self[field.offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index))
    }
  }

  /// With one field changed.
  func with(_ field: SetupField, _ value: UInt64) -> [UInt8] {
    var copy = self
    copy.set(field, value)
    return copy
  }
}

func layout(_ byteCount: UInt64) throws -> GuestMemoryLayout {
  try GuestMemoryLayout(ramByteCount: byteCount)
}

/// A plan for a kernel of bytes.
func makePlan(
  _ kernel: [UInt8] = SyntheticImages.bzImage(), initrd: [UInt8]? = nil, commandLine: String = "",
  memory: UInt64 = 64 << 20, acpi: (rsdp: UInt64, range: Range<UInt64>)? = nil
) throws(MachineError) -> LinuxBootPlan {
  try LinuxBootPlan(
    kernel: BootFile(kernel, name: "kernel test"),
    initrd: initrd.map { BootFile($0, name: "initrd test") }, commandLine: commandLine,
    layout: try VMM.memory { () throws(GuestMemoryError) in
      try GuestMemoryLayout(ramByteCount: memory)
    }, acpi: acpi)
}

/// What a plan fails with; nil if it does not.
func failure(_ body: () throws(MachineError) -> LinuxBootPlan) -> MachineError? {
  do throws(MachineError) {
    _ = try body()
    return nil
  } catch { return error }
}
