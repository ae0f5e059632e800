/// An ELF kernel with an entry for PVH: loaded segment by segment, entered in 32-bit protected
/// mode.
///
/// Source: ELF-64 Object File Format 1.5; Xen, docs/misc/pvh.pandoc.
struct PVHImage: Hashable, Sendable {
  /// A part of the file and the memory it goes to.
  struct Segment: Hashable, Sendable {
    let fileOffset: Int
    let fileByteCount: Int
    /// Where it lies in guest memory; what the file does not fill is zero there.
    let addresses: Range<UInt64>
  }

  /// "\u{7F}ELF".
  static let magic: [UInt8] = [0x7F, 0x45, 0x4C, 0x46]
  private static let headerByteCount: UInt64 = 64
  private static let programHeaderByteCount: UInt64 = 56
  /// vmlinux has 5; 0xFFFF would mean that the number is elsewhere.
  private static let maximumProgramHeaderCount: UInt64 = 128
  private static let lowestAddress: UInt64 = 0x10_0000
  /// PT_LOAD and PT_NOTE.
  private static let load: UInt64 = 1
  private static let note: UInt64 = 4

  /// Ascending and disjoint.
  let segments: [Segment]
  let entry: UInt64

  /// Reads and checks the headers and notes of an ELF file.
  init(_ file: BootFile) throws(MachineError) {
    do throws(ImageReader.Failure) {
      self = try Self(ImageReader(file))
    } catch {
      throw error.machineError
    }
  }

  private init(_ reader: ImageReader) throws(ImageReader.Failure) {
    let header = try reader.part("the ELF header", at: 0, byteCount: Self.headerByteCount)
    try header.check("EI_CLASS", at: 4, 1, "2, a 64-bit file") { $0 == 2 }
    try header.check("EI_DATA", at: 5, 1, "1, little-endian") { $0 == 1 }
    try header.check("e_type", at: 16, 2, "2, an executable") { $0 == 2 }
    try header.check("e_machine", at: 18, 2, "0x3e, x86-64") { $0 == 62 }
    try header.check("e_phentsize", at: 54, 2, "0x38") { $0 == Self.programHeaderByteCount }
    let count = try header.check("e_phnum", at: 56, 2, "1 to 0x80") {
      (1...Self.maximumProgramHeaderCount).contains($0)
    }
    let tableOffset = try header.check("e_phoff", at: 32, 8, "0x40 or more") {
      $0 >= Self.headerByteCount
    }
    let table = try reader.part(
      "the program header table", at: tableOffset,
      byteCount: count * Self.programHeaderByteCount)

    var segments: [Segment] = []
    var entry: UInt64?
    for index in 0..<count {
      let place = index * Self.programHeaderByteCount
      let header = try table.part(at: place, byteCount: Self.programHeaderByteCount)
      switch try header.check("p_type", at: 0, 4, "", { _ in true }) {
      case Self.load:
        if let segment = try Self.segment(header, index, reader) { segments.append(segment) }
      case Self.note where entry == nil:
        entry = try XenNote.entry(in: header, of: reader)
      default: break
      }
    }
    segments.sort { $0.addresses.lowerBound < $1.addresses.lowerBound }
    for (lower, upper) in zip(segments, segments.dropFirst())
    where lower.addresses.overlaps(upper.addresses) {
      throw .image(
        .notAKernel(
          file: reader.file.name,
          found: "an ELF file whose segments at GPA \(lower.addresses.hexadecimal) and "
            + "\(upper.addresses.hexadecimal) overlap", cure: "give an undamaged vmlinux"))
    }
    guard let entry else {
      throw .image(.note(file: reader.file.name, problem: "no Xen note PHYS32_ENTRY (type 18)"))
    }
    guard segments.contains(where: { $0.addresses.contains(entry) }) else {
      throw .image(
        .note(
          file: reader.file.name,
          problem: "the PHYS32_ENTRY note's address 0x\(String(entry, radix: 16)) is in no segment")
      )
    }
    self.segments = segments
    self.entry = entry
  }

  /// A segment; nil if it takes no memory.
  private static func segment(
    _ header: ImageReader.Part, _ index: UInt64, _ reader: ImageReader
  ) throws(ImageReader.Failure) -> Segment? {
    let fileByteCount = try header.check("p_filesz", at: 32, 8, "", { _ in true })
    let byteCount = try header.check("p_memsz", at: 40, 8, "p_filesz, \(fileByteCount), or more") {
      $0 >= fileByteCount
    }
    guard byteCount > 0 else { return nil }
    let address = try header.check(
      "p_paddr", at: 24, 8, "0x100000 or more, with p_memsz below 2^64"
    ) { $0 >= lowestAddress && !$0.addingReportingOverflow(byteCount).overflow }
    let offset = try header.check("p_offset", at: 8, 8, "a place in the file") { _ in true }
    try reader.checkIsInFile("segment \(index)", at: offset, byteCount: fileByteCount)
    return Segment(
      // A segment without bytes in the file may name any offset.
      fileOffset: fileByteCount == 0 ? 0 : Int(offset), fileByteCount: Int(fileByteCount),
      addresses: address..<(address + byteCount))
  }
}
