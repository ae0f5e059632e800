@testable internal import VMM

/// Small kernels that load, and the places in them that an input may change.
enum KernelTemplates {
  /// A place in a file that holds a number.
  struct Field {
    let offset: Int
    let byteCount: Int
  }

  /// A bzImage of 2 sectors of setup and 0x400 bytes of kernel.
  static let bzImage: [UInt8] = {
    var bytes = [UInt8](repeating: 0, count: 0x400) + [UInt8](repeating: 0x90, count: 0x400)
    let fields: [(field: SetupField, value: UInt64)] = [
      (.setupSectors, 1), (.systemSize, 0x40), (.bootFlag, 0xAA55), (.jump, 0xEB),
      (.jumpDistance, 0x6A), (.magic, BzImage.magic), (.version, 0x20F), (.loadFlags, 1),
      (.initrdMaximum, 0x7FFF_FFFF), (.alignment, 0x20_0000), (.relocatable, 1),
      (.extendedLoadFlags, 0x7F), (.commandLineByteCount, 0x7FF), (.payloadOffset, 0x2CC),
      (.payloadByteCount, 0x100), (.preferredAddress, 0x10_0000), (.initByteCount, 0x1_0000),
    ]
    for (field, value) in fields {
      bytes.set(Field(offset: field.offset, byteCount: field.byteCount), value)
    }
    return bytes
  }()

  static let bzImageFields = [
    SetupField.setupSectors, .systemSize, .bootFlag, .jump, .jumpDistance, .magic, .version,
    .loadFlags, .initrdMaximum, .alignment, .relocatable, .extendedLoadFlags,
    .commandLineByteCount, .payloadOffset, .payloadByteCount, .preferredAddress, .initByteCount,
  ].map { Field(offset: $0.offset, byteCount: $0.byteCount) }

  private static let headerCount = 3
  private static let notesOffset = 0x240

  /// An ELF of two segments and two notes, of which the second is the PVH entry.
  static let elf: [UInt8] = {
    var bytes = [UInt8](repeating: 0xCC, count: 0x280)
    bytes.replaceSubrange(0..<0x100, with: [UInt8](repeating: 0, count: 0x100))
    bytes.replaceSubrange(0..<7, with: [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1])
    for (offset, byteCount, value) in [
      (16, 2, 2), (18, 2, 62), (32, 8, 64), (54, 2, 56), (56, 2, UInt64(headerCount)),
    ] { bytes.set(Field(offset: offset, byteCount: byteCount), value) }
    let headers: [[UInt64]] = [
      // Type, offset, file, memory, address.
      [1, 0x140, 0x80, 0x1000, 0x10_0040], [1, 0x1C0, 0x10, 0x10, 0x11_0000],
      [4, UInt64(notesOffset), 0x34, 0x34, 0],
    ]
    for (index, header) in headers.enumerated() {
      for (field, value) in zip(programHeaderFields(index), header) { bytes.set(field, value) }
    }
    bytes.replaceSubrange(notesOffset..<(notesOffset + 0x34), with: notes)
    return bytes
  }()

  static let elfFields: [Field] =
    [
      (4, 1), (16, 2), (18, 2), (32, 8), (54, 2), (56, 2),
      (notesOffset, 4), (notesOffset + 4, 4), (notesOffset + 8, 4), (notesOffset + 0x20, 4),
      (notesOffset + 0x24, 4), (notesOffset + 0x28, 4), (notesOffset + 0x30, 4),
    ].map { Field(offset: $0.0, byteCount: $0.1) }
    + (0..<headerCount).flatMap { programHeaderFields($0) }

  /// Type, offset, file, memory, address, alignment.
  private static func programHeaderFields(_ index: Int) -> [Field] {
    [(0, 4), (8, 8), (32, 8), (40, 8), (24, 8), (48, 8)].map {
      Field(offset: 64 + index * 56 + $0.0, byteCount: $0.1)
    }
  }

  /// Of "GNU" with 13 bytes, and of "Xen": PHYS32_ENTRY 0x100040.
  private static let notes: [UInt8] =
    [4, 0, 0, 0, 13, 0, 0, 0, 18, 0, 0, 0, 0x47, 0x4E, 0x55, 0] + [UInt8](repeating: 1, count: 16)
    + [4, 0, 0, 0, 4, 0, 0, 0, 18, 0, 0, 0, 0x58, 0x65, 0x6E, 0, 0x40, 0, 0x10, 0]
}

extension [UInt8] {
  /// Stores a little-endian number.
  mutating func set(_ field: KernelTemplates.Field, _ value: UInt64) {
    for index in 0..<field.byteCount {
      self[field.offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index))
    }
  }
}
