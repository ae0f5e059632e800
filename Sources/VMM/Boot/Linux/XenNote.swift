/// Finds a kernel's PVH entry among the notes of an ELF file.
///
/// Source: Xen, public/elfnote.h; ELF-64 Object File Format 1.5, "Note Section".
enum XenNote {
  /// XEN_ELFNOTE_PHYS32_ENTRY.
  private static let physical32Entry: UInt64 = 18
  private static let owner: [UInt8] = [0x58, 0x65, 0x6E, 0]  // "Xen"
  /// vmlinux has less than 1 KiB of notes.
  private static let maximumByteCount: UInt64 = 1 << 16

  /// The entry in the notes that a PT_NOTE program header names; nil if there is none.
  static func entry(
    in header: ImageReader.Part, of reader: ImageReader
  ) throws(ImageReader.Failure) -> UInt64? {
    let offset = try header.check("p_offset", at: 8, 8, "") { _ in true }
    let byteCount = try header.check("p_filesz", at: 32, 8, "at most 0x10000 bytes of notes") {
      $0 <= maximumByteCount
    }
    // 8 is what GNU properties use; everything else is aligned to 4, whatever it says.
    let align = try header.check("p_align", at: 48, 8, "") { _ in true } == 8 ? UInt64(8) : 4
    let notes = try reader.part("the notes", at: offset, byteCount: byteCount)
    var next: UInt64 = 0
    while next + 12 <= byteCount {
      let note = try notes.part(at: next, byteCount: 12)
      let left = byteCount - next - 12
      let nameByteCount = try note.check("n_namesz", at: 0, 4, "at most \(left)") { $0 <= left }
      // Sums of 32-bit numbers and a bounded place: none wraps.
      let descriptorStart = (next + 12 + nameByteCount).roundedUp(to: align)
      let valueByteCount = try note.check(
        "n_descsz", at: 4, 4, "at most what the notes have left"
      ) { descriptorStart + $0 <= byteCount }
      let type = try note.check("n_type", at: 8, 4, "") { _ in true }
      if type == physical32Entry,
        try notes.part(at: next + 12, byteCount: nameByteCount).bytes == owner
      {
        try note.check("n_descsz", at: 4, 4, "4 or 8") { $0 == 4 || $0 == 8 }
        // EIP takes 32 bits.
        return try notes.part(at: descriptorStart, byteCount: valueByteCount)
          .check("PHYS32_ENTRY", at: 0, Int(valueByteCount), "below 2^32") { $0 >> 32 == 0 }
      }
      next = (descriptorStart + valueByteCount).roundedUp(to: align)
    }
    return nil
  }
}

extension UInt64 {
  /// The next multiple of `alignment`, a power of two; the sum must not wrap.
  func roundedUp(to alignment: UInt64) -> UInt64 {
    (self + alignment - 1) & ~(alignment - 1)
  }
}
