internal import Bytes

/// A kernel that can be started without firmware: a bzImage, or an ELF file with a PVH entry.
enum LinuxImage: Hashable, Sendable {
  case bzImage(BzImage)
  case pvh(PVHImage)

  /// Tells the kind from the file's first bytes, and checks its headers.
  ///
  /// - Throws: `MachineError.kernel` that says what is wrong, or what the file is instead.
  init(_ file: BootFile) throws(MachineError) {
    let start = try file.bytes(at: 0, byteCount: BzImage.headerByteCount)
    if start.starts(with: PVHImage.magic) {
      self = .pvh(try PVHImage(file))
      return
    }
    let flag = start.loadLE(
      at: SetupField.bootFlag.offset, byteCount: SetupField.bootFlag.byteCount)
    let magic = start.loadLE(at: SetupField.magic.offset, byteCount: SetupField.magic.byteCount)
    do throws(LinuxImageError) {
      // Either marks it, so that damage to the other is told.
      guard flag == 0xAA55 || magic == BzImage.magic else {
        throw Self.notAKernel(file.name, start)
      }
      self = .bzImage(
        try BzImage(start: start, fileByteCount: file.byteCount, file: file.name))
    } catch {
      throw .kernel(error)
    }
  }

  /// What other files begin with.
  private static let signatures: [(offset: Int, bytes: [UInt8], found: String, cure: String)] = [
    (0, [0x1F, 0x8B], "gzip-compressed data", "decompress it with gzip -d"),
    (0, [0x28, 0xB5, 0x2F, 0xFD], "zstd-compressed data", "decompress it with zstd -d"),
    (0, [0xFD] + Array("7zXZ".utf8) + [0], "xz-compressed data", "decompress it with xz -d"),
    (0, Array("BZh".utf8), "bzip2-compressed data", "decompress it with bzip2 -d"),
    (0, [0x04, 0x22, 0x4D, 0x18], "lz4-compressed data", "decompress it with lz4 -d"),
    (0, [0x02, 0x21, 0x4C, 0x18], "lz4-compressed data", "decompress it with lz4 -d"),
    (0, [0x89] + Array("LZO".utf8), "lzop-compressed data", "decompress it with lzop -d"),
    (0, Array("070701".utf8), "a cpio archive", "give it as the initrd"),
    (0, Array("!<arch>\n".utf8), "an archive, such as a Debian package", "unpack /boot/vmlinuz"),
    (0, [0x27, 0x05, 0x19, 0x56], "a U-Boot image", "give the bzImage inside"),
    (56, Array("ARMd".utf8), "a kernel for ARM", "give a kernel for x86-64"),
    (56, Array("RSC\u{5}".utf8), "a kernel for RISC-V", "give a kernel for x86-64"),
    (0, Array("MZ".utf8), "an EFI application", "give a bzImage, or boot with firmware"),
    (0, Array("#!".utf8), "a script", "give a bzImage or a vmlinux with a PVH entry"),
  ]

  private static func notAKernel(_ file: String, _ start: [UInt8]) -> LinuxImageError {
    // A bzImage is an EFI application as well.
    if start.starts(with: [0x4D, 0x5A]), start.count < BzImage.headerByteCount {
      return .tooShort(
        file: file, byteCount: start.count, what: "the setup header",
        neededByteCount: UInt64(BzImage.headerByteCount))
    }
    for (offset, bytes, found, cure) in signatures
    where start.dropFirst(offset).starts(with: bytes) {
      return .notAKernel(file: file, found: found, cure: cure)
    }
    let cure = "give a bzImage or a vmlinux with a PVH entry"
    if start.isEmpty { return .notAKernel(file: file, found: "an empty file", cure: cure) }
    let first = start.prefix(8).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
      .joined(separator: " ")
    return .notAKernel(file: file, found: "a file that begins with \(first)", cure: cure)
  }
}
