internal import Bytes

/// A bzImage: a setup header that says what the kernel needs, and the kernel, which unpacks itself.
///
/// Entered in 64-bit mode, 0x200 bytes into the kernel. The real-mode part is not used. Every field
/// that the loader relies on is checked here, except RAM: that is the plan's.
/// Source: Documentation/arch/x86/boot.rst.
struct BzImage: Hashable, Sendable {
  /// "HdrS".
  static let magic: UInt64 = 0x5372_6448
  /// The first version with xloadflags: Linux 3.8.
  static let oldestVersion: UInt64 = 0x020C
  /// Where the header begins.
  static let headerStart = SetupField.setupSectors.offset
  /// The bytes of a file's start that hold the longest header.
  static let headerByteCount = 0x290
  /// Where the header of the oldest version ends: behind handover_offset.
  private static let oldestHeaderEnd: UInt64 = 0x268
  /// From the kernel's start.
  static let entryOffset: UInt64 = 0x200
  private static let lowestAddress: UInt64 = 0x10_0000

  /// The file's bytes from `headerStart` to the header's end.
  let header: [UInt8]
  /// Where the kernel begins in the file.
  let kernelOffset: Int
  /// The kernel's bytes in the file.
  let kernelByteCount: Int
  let preferredAddress: UInt64
  /// Contiguous memory that the kernel needs from where it is loaded.
  let initByteCount: UInt64
  let isRelocatable: Bool
  /// For a load address other than the preferred; a power of two.
  let alignment: UInt64
  /// The first byte above which no initrd may reach.
  let initrdLimit: UInt64
  /// Without the NUL.
  let maximumCommandLineByteCount: Int

  /// Checks the header.
  ///
  /// - Parameters:
  ///   - start: the file's first `headerByteCount` bytes, or all of a shorter file.
  ///   - fileByteCount: how long the file is.
  ///   - file: its name for messages.
  init(start: [UInt8], fileByteCount: Int, file: String) throws(LinuxImageError) {
    let fields = SetupFields(start: start, fileByteCount: fileByteCount, file: file)
    try fields.check(.bootFlag, "0xaa55") { $0 == 0xAA55 }
    try fields.check(.magic, "0x53726448, \"HdrS\"") { $0 == Self.magic }
    try fields.check(.version, "0x20c or later") { $0 >= Self.oldestVersion }
    try fields.check(.jump, "0xeb, a short jump over the header") { $0 == 0xEB }
    let headerEnd =
      try 0x202
      + fields.check(.jumpDistance, "0x66 to 0x8e") {
        (Self.oldestHeaderEnd...UInt64(Self.headerByteCount)).contains(0x202 + $0)
      }
    guard headerEnd <= start.count else {
      throw .tooShort(
        file: file, byteCount: fileByteCount, what: "the setup header",
        neededByteCount: headerEnd)
    }
    header = Array(start[Self.headerStart..<Int(headerEnd)])

    try fields.check(.loadFlags, "bit 0, LOADED_HIGH: a zImage cannot be loaded") { $0 & 1 != 0 }
    try fields.check(.extendedLoadFlags, "bit 0, XLF_KERNEL_64: a 64-bit entry") { $0 & 1 != 0 }

    // 0 stands for 4, for the sake of loaders of the first kernels.
    let sectors = try fields.check(.setupSectors, "the kernel behind it, within the file") {
      (($0 == 0 ? 4 : $0) + 1) * 512 < fileByteCount
    }
    let offset = ((sectors == 0 ? 4 : sectors) + 1) * 512
    let rest = UInt64(fileByteCount) - offset
    // In units of 16 bytes, rounded up; a signature may follow.
    let byteCount = try fields.check(
      .systemSize, "more than 0x20 and at most \(rest) bytes in units of 16"
    ) { $0 * 16 > Self.entryOffset && $0 * 16 <= rest + 15 }
    kernelOffset = Int(offset)
    kernelByteCount = Int(min(byteCount * 16, rest))
    try Self.checkPayload(fields, kernelByteCount: UInt64(kernelByteCount))

    let needed = try fields.check(.initByteCount, "\(kernelByteCount) bytes or more") {
      [kernelByteCount] in $0 >= kernelByteCount
    }
    initByteCount = needed
    alignment = try fields.check(.alignment, "a power of two from 0x1000 on") {
      $0 >= 0x1000 && $0.nonzeroBitCount == 1
    }
    isRelocatable = try fields.check(.relocatable, "0 or 1") { $0 <= 1 } == 1
    preferredAddress = try fields.check(
      .preferredAddress, "a multiple of 0x1000 from 0x100000 on, with init_size below 2^64"
    ) {
      $0 >= Self.lowestAddress && $0 % 0x1000 == 0
        && !$0.addingReportingOverflow(needed).overflow
    }
    initrdLimit =
      try 1
      + fields.check(.initrdMaximum, "0x100000 or more") {
        $0 >= Self.lowestAddress
      }
    // 255 is what every kernel takes.
    maximumCommandLineByteCount = try Int(
      fields.check(.commandLineByteCount, "255 or more") { $0 >= 255 })
  }

  /// The compressed kernel inside; nothing here uses it, but damage shows.
  private static func checkPayload(
    _ fields: SetupFields, kernelByteCount: UInt64
  ) throws(LinuxImageError) {
    let offset = try fields.check(
      .payloadOffset, "less than the kernel's \(kernelByteCount) bytes"
    ) { $0 < kernelByteCount }
    try fields.check(
      .payloadByteCount, "at most \(kernelByteCount - offset) bytes, what the kernel has left"
    ) { $0 <= kernelByteCount - offset }
  }
}

/// Reads and checks fields of a setup header.
private struct SetupFields {
  let start: [UInt8]
  let fileByteCount: Int
  let file: String

  /// The field's value if `isGood` says so.
  @discardableResult
  func check(
    _ field: SetupField, _ expected: String, _ isGood: (UInt64) -> Bool
  ) throws(LinuxImageError) -> UInt64 {
    guard let value = start.loadLE(at: field.offset, byteCount: field.byteCount) else {
      throw .tooShort(
        file: file, byteCount: fileByteCount, what: "the setup header's \(field.name)",
        neededByteCount: UInt64(field.offset + field.byteCount))
    }
    guard isGood(value) else {
      throw .field(
        file: file, name: field.name, offset: UInt64(field.offset), value: value,
        expected: expected)
    }
    return value
  }
}
