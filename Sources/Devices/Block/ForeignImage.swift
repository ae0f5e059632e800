/// A file that is no raw disk image, by what it begins or ends with.
///
/// The bytes are the image's, so a guest can write such a beginning to a raw disk of its own: what
/// is found here ends in a message, never in another way to read the file.
public struct ForeignImage: Hashable, Sendable {
  /// What is to be done to have a disk.
  private enum Cure: Hashable, Sendable {
    /// `qemu-img` reads it, by that name of a format.
    case convert(String)
    /// A command that unpacks it.
    case unpack(String)
    case none
  }

  /// What it is: `a qcow2 image`.
  let name: String
  private let cure: Cure
  /// The bytes that it is known by.
  private let magic: [UInt8]
  /// Where they are.
  private let place: Place

  private enum Place: Hashable, Sendable {
    case start(Int)
    /// That far before the end.
    case end(Int)
  }

  private init(_ name: String, _ magic: [UInt8], at place: Place = .start(0), _ cure: Cure) {
    self.name = name
    self.magic = magic
    self.place = place
    self.cure = cure
  }

  /// Of formats with the same beginning the one that begins with more comes first.
  private static let all: [ForeignImage] = [
    // The version follows, big-endian: 1 is qcow, 2 and 3 are qcow2.
    ForeignImage("a qcow image", text("QFI", [0xFB, 0, 0, 0, 1]), .convert("qcow")),
    ForeignImage("a qcow2 image", text("QFI", [0xFB]), .convert("qcow2")),
    ForeignImage("a QED image", text("QED", [0]), .convert("qed")),
    ForeignImage("a VMDK image", text("KDMV"), .convert("vmdk")),
    ForeignImage("a VMDK image", text("COWD"), .convert("vmdk")),
    ForeignImage(
      "the description of a VMDK image", text("# Disk DescriptorFile"), .convert("vmdk")),
    ForeignImage(
      "a VDI image", [0x7F, 0x10, 0xDA, 0xBE], at: .start(64), .convert("vdi")),
    ForeignImage("a VHDX image", text("vhdxfile"), .convert("vhdx")),
    // A dynamic one has a copy of its footer in front, a fixed one the footer only, which is one
    // byte shorter when Virtual PC before 2004 wrote it.
    ForeignImage("a VHD image", text("conectix"), .convert("vpc")),
    ForeignImage("a VHD image", text("conectix"), at: .end(512), .convert("vpc")),
    ForeignImage("a VHD image", text("conectix"), at: .end(511), .convert("vpc")),
    ForeignImage("a Parallels image", text("WithoutFreeSpace"), .convert("parallels")),
    ForeignImage("a Parallels image", text("WithouFreSpacExt"), .convert("parallels")),
    ForeignImage(
      "an Apple disk image", text("koly", [0, 0, 0, 4]), at: .end(512), .convert("dmg")),
    ForeignImage("compressed by xz", [0xFD] + text("7zXZ", [0]), .unpack("xz -dk")),
    ForeignImage("compressed by zstd", [0x28, 0xB5, 0x2F, 0xFD], .unpack("zstd -dk")),
    ForeignImage("compressed by gzip", [0x1F, 0x8B, 0x08], .unpack("gzip -dk")),
    ForeignImage(
      "compressed by bzip2", text("BZh9", [0x31, 0x41, 0x59, 0x26, 0x53, 0x59]),
      .unpack("bzip2 -dk")),
    ForeignImage("a ZIP archive", text("PK", [3, 4]), .unpack("unzip")),
    ForeignImage(
      "an image of a CD or DVD (ISO 9660)", text("CD001"), at: .start(32 << 10 | 1), .none),
  ]

  private static func text(_ text: String, _ more: [UInt8] = []) -> [UInt8] {
    Array(text.utf8) + more
  }

  /// Looks at a file; nil for all that may be a raw disk.
  static func find(in file: LockedFile) throws(LockedFile.Failure) -> ForeignImage? {
    for image in all {
      let offset: UInt64
      switch image.place {
      case .start(let start): offset = UInt64(start)
      case .end(let distance):
        guard file.byteCount >= UInt64(distance) else { continue }
        offset = file.byteCount - UInt64(distance)
      }
      if try file.read(at: offset, byteCount: image.magic.count) == image.magic { return image }
    }
    return nil
  }

  /// What is wrong with a file that was to be taken along as it is, and what to do, as the rest of
  /// a message.
  ///
  /// - Returns: nil for bytes that are of no other format.
  public static func complaint(of bytes: [UInt8], path: String) -> String? {
    let found = all.first { image in
      guard case .start(let start) = image.place else { return false }
      return bytes.count >= start + image.magic.count
        && bytes[start..<(start + image.magic.count)].elementsEqual(image.magic)
    }
    return found?.finding(path: path)
  }

  /// What is wrong with such a file as a disk, and what to do, as the rest of a message.
  func complaint(path: String) -> String {
    let finding = finding(path: path)
    return switch cure {
    case .convert, .unpack:
      finding + ", or, if it is raw all the same, say so (--disk FILE,format=raw)"
    case .none:
      finding + "; put it in a CD drive (--cdrom \(ShellWord(path))); one that is made for USB "
        + "sticks, too, can be a disk (--disk FILE,format=raw,readonly)"
    }
  }

  /// Whether a drive takes it as a medium.
  var isOpticalMedium: Bool { magic == Self.text("CD001") }

  /// What is wrong with such a file as a medium, and what to do, as the rest of a message.
  func complaintOfMedium(path: String) -> String { finding(path: path) }

  /// What it is, and the command that makes it a raw file.
  private func finding(path: String) -> String {
    let file = ShellWord(path)
    return switch cure {
    case .convert(let format):
      "is \(name), not raw; convert it (qemu-img convert -f \(format) -O raw \(file) "
        + "\(ShellWord(path + ".raw")))"
    case .unpack(let command): "is \(name); unpack it first (\(command) \(file))"
    case .none: "is \(name)"
    }
  }
}

/// A text as a shell takes it for one word.
struct ShellWord: CustomStringConvertible {
  private let text: String

  init(_ text: String) {
    self.text = text
  }

  var description: String {
    let isPlain = text.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"):
        true
      default: "/._-+,:=@%".utf8.contains(byte)
      }
    }
    if isPlain, !text.isEmpty { return text }
    return "'"
      + text.split(separator: "'", omittingEmptySubsequences: false)
      .joined(separator: #"'\''"#) + "'"
  }
}
