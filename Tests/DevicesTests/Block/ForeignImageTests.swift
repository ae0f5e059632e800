import Foundation
import Testing

@testable import Devices

/// Files that are not raw images, given as if they were.
@Suite struct ForeignImageTests {
  private static func bytes(_ magic: [UInt8], at offset: Int, of count: Int = 64 << 10) -> [UInt8] {
    var bytes = pattern(count, seed: 9)
    bytes.replaceSubrange(offset..<(offset + magic.count), with: magic)
    return bytes
  }

  private static func text(_ text: String) -> [UInt8] { Array(text.utf8) }

  private struct Sample: Sendable {
    let name: String
    let bytes: [UInt8]
    /// The command that helps, without the names of files.
    let command: String?
  }

  private static let samples: [Sample] = [
    Sample(
      name: "a qcow image", bytes: bytes([0x51, 0x46, 0x49, 0xFB, 0, 0, 0, 1], at: 0),
      command: "qemu-img convert -f qcow -O raw"),
    Sample(
      name: "a qcow2 image", bytes: bytes([0x51, 0x46, 0x49, 0xFB, 0, 0, 0, 3], at: 0),
      command: "qemu-img convert -f qcow2 -O raw"),
    Sample(
      name: "a QED image", bytes: bytes(text("QED\0"), at: 0),
      command: "qemu-img convert -f qed -O raw"),
    Sample(
      name: "a VMDK image", bytes: bytes(text("KDMV"), at: 0),
      command: "qemu-img convert -f vmdk -O raw"),
    Sample(
      name: "the description of a VMDK image", bytes: text("# Disk DescriptorFile\nversion=1\n"),
      command: "qemu-img convert -f vmdk -O raw"),
    Sample(
      name: "a VDI image", bytes: bytes([0x7F, 0x10, 0xDA, 0xBE], at: 64),
      command: "qemu-img convert -f vdi -O raw"),
    Sample(
      name: "a VHDX image", bytes: bytes(text("vhdxfile"), at: 0),
      command: "qemu-img convert -f vhdx -O raw"),
    Sample(
      name: "a VHD image", bytes: bytes(text("conectix"), at: 0),
      command: "qemu-img convert -f vpc -O raw"),
    Sample(
      name: "a VHD image", bytes: bytes(text("conectix"), at: 65536 - 512),
      command: "qemu-img convert -f vpc -O raw"),
    Sample(
      name: "a VHD image", bytes: bytes(text("conectix"), at: 65536 - 512, of: 65535),
      command: "qemu-img convert -f vpc -O raw"),
    Sample(
      name: "a Parallels image", bytes: bytes(text("WithoutFreeSpace"), at: 0),
      command: "qemu-img convert -f parallels -O raw"),
    Sample(
      name: "an Apple disk image", bytes: bytes(text("koly\0\0\0\u{4}"), at: 65536 - 512),
      command: "qemu-img convert -f dmg -O raw"),
    Sample(
      name: "compressed by xz", bytes: bytes([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0], at: 0, of: 1001),
      command: "xz -dk"),
    Sample(
      name: "compressed by zstd", bytes: bytes([0x28, 0xB5, 0x2F, 0xFD], at: 0, of: 1001),
      command: "zstd -dk"),
    Sample(
      name: "compressed by gzip", bytes: bytes([0x1F, 0x8B, 8, 0], at: 0, of: 1001),
      command: "gzip -dk"),
    Sample(
      name: "compressed by bzip2", bytes: bytes(text("BZh91AY&SY"), at: 0, of: 1001),
      command: "bzip2 -dk"),
    Sample(
      name: "a ZIP archive", bytes: bytes(text("PK\u{3}\u{4}"), at: 0, of: 1001), command: "unzip"),
    Sample(
      name: "an image of a CD or DVD (ISO 9660)", bytes: bytes(text("CD001"), at: 32769),
      command: nil),
  ]

  @Test("each is named, with the command that helps, and never to be cut or padded")
  func named() throws {
    for sample in Self.samples {
      let image = try ImageFile(sample.bytes)
      for isReadOnly in [false, true] {
        let error = #expect(throws: BlockStoreError.self) {
          try RawImageStore(path: image.path, isReadOnly: isReadOnly)
        }
        guard case .foreign(_, let foreign)? = error, let error else {
          Issue.record("\(sample.name): \(String(describing: error))")
          continue
        }
        #expect(foreign.name == sample.name)
        let message = error.description
        #expect(message.hasPrefix("disk image \(image.path) is \(sample.name)"))
        if let command = sample.command { #expect(message.contains("(\(command) \(image.path)")) }
        #expect(!message.contains("truncate") && !message.contains("\n"))
        #expect(message.contains("--disk FILE,format=raw"))
      }
      #expect(try image.contents == sample.bytes)
    }
  }

  @Test("a drive takes an ISO, anything that begins like nothing else, and nothing that does")
  func opticalMedium() throws {
    for sample in Self.samples where sample.command != nil {
      let image = try ImageFile(sample.bytes)
      let error = #expect(throws: BlockStoreError.self) {
        try RawImageStore.opticalMedium(path: HostPath(image.path))
      }
      let message = error?.description ?? ""
      #expect(message.hasPrefix("CD image \(image.path) is \(sample.name)"))
      #expect(!message.contains("--disk"))
    }
    for (content, byteCount) in [(Self.text("CD001"), 40 << 10), ([], 2048)] {
      let image = try ImageFile(Self.bytes(content, at: min(32_769, byteCount), of: byteCount))
      // As often as it is wanted.
      let stores = try (0..<2).map { _ in
        try RawImageStore.opticalMedium(path: HostPath(image.path))
      }
      #expect(stores.allSatisfy { $0.isReadOnly && $0.byteCount == UInt64(byteCount) })
    }
    let odd = try ImageFile([UInt8](repeating: 0, count: 3072))
    let error = #expect(throws: BlockStoreError.self) {
      try RawImageStore.opticalMedium(path: HostPath(odd.path))
    }
    #expect(
      error?.description
        == "disk image \(odd.path) has 3072 bytes, which is no multiple of its block size, 2048")
  }

  @Test("an image that is said to be raw is taken as it is, if it has whole sectors")
  func knownRaw() throws {
    for sample in Self.samples {
      let image = try ImageFile(sample.bytes)
      if sample.bytes.count % 512 == 0 {
        let store = try RawImageStore(path: image.path, isKnownRaw: true)
        #expect(store.byteCount == UInt64(sample.bytes.count))
      } else {
        let error = BlockStoreError.size(
          path: image.path, byteCount: UInt64(sample.bytes.count), sectorByteCount: 512)
        #expect(throws: error) { try RawImageStore(path: image.path, isKnownRaw: true) }
      }
    }
  }

  @Test("what disks begin with is none of these")
  func rawDisks() throws {
    var bootSector = [UInt8](repeating: 0, count: 1 << 20)
    bootSector.replaceSubrange(0..<3, with: [0xEB, 0x63, 0x90])
    bootSector.replaceSubrange(510..<512, with: [0x55, 0xAA])
    var partitions = bootSector
    partitions.replaceSubrange(512..<520, with: Self.text("EFI PART"))
    partitions.replaceSubrange(((1 << 20) - 512)..<((1 << 20) - 504), with: Self.text("EFI PART"))
    var encrypted = pattern(1 << 20, seed: 2)
    encrypted.replaceSubrange(0..<6, with: [0x4C, 0x55, 0x4B, 0x53, 0xBA, 0xBE])
    // Where the magic number of another format stands, but not at its place.
    let near = Self.bytes([0x51, 0x46, 0x49, 0xFB], at: 1)
    for bytes in [bootSector, partitions, encrypted, near, [UInt8](repeating: 0, count: 512)] {
      let image = try ImageFile(bytes)
      #expect(try RawImageStore(path: image.path).byteCount == UInt64(bytes.count))
    }
  }

  @Test(
    "what qemu-img makes of each format is found, by the name that it converts it by",
    .enabled(if: QEMUTool.img.isThere, "needs qemu-img (qemu-utils)"),
    arguments: [
      ("qcow", ""), ("qcow2", ""), ("qcow2", "compat=0.10"), ("qed", ""), ("vmdk", ""),
      ("vmdk", "subformat=monolithicFlat"), ("vmdk", "subformat=streamOptimized"), ("vdi", ""),
      ("vdi", "static=on"), ("vpc", ""), ("vpc", "subformat=fixed"), ("vhdx", ""),
      ("parallels", ""),
    ])
  func made(format: String, options: String) throws {
    let place = try ScratchDirectory()
    let path = place.path + "/an image"
    let made = try QEMUTool.img.run(
      ["create", "-q", "-f", format] + (options.isEmpty ? [] : ["-o", options]) + [path, "4M"])
    #expect(made.status == 0, "\(made.text)")
    let error = #expect(throws: BlockStoreError.self) { try RawImageStore(path: path) }
    let message = try #require(error).description
    let command = "qemu-img convert -f \(format) -O raw '\(path)' '\(path).raw'"
    #expect(message.contains("(\(command))"), "\(message)")
    // The command does what it is there for.
    let words = ["convert", "-f", format, "-O", "raw", path, path + ".raw"]
    #expect(try QEMUTool.img.run(words).status == 0)
    #expect(try RawImageStore(path: path + ".raw").byteCount >= 4 << 20)
  }

  @Test(arguments: [
    ("a", "a"), ("/a/b-c_1.img", "/a/b-c_1.img"), ("a b", "'a b'"), ("", "''"),
    ("it's", #"'it'\''s'"#), ("$(x)", "'$(x)'"), ("ä", "'ä'"),
  ])
  func shellWords(text: String, word: String) {
    #expect(ShellWord(text).description == word)
  }
}
