import Testing

@testable import VMM

/// Files that are not kernels, each told for what it is.
@Suite struct LinuxImageTests {
  private func message(_ start: [UInt8], byteCount: Int = 0x400) -> String? {
    let bytes = start + [UInt8](repeating: 0, count: max(0, byteCount - start.count))
    do throws(MachineError) {
      _ = try LinuxImage(BootFile(bytes, name: "kernel k"))
      return nil
    } catch { return error.description }
  }

  @Test(
    arguments: [
      ([0x1F, 0x8B], "gzip-compressed data; decompress it with gzip -d"),
      ([0x28, 0xB5, 0x2F, 0xFD], "zstd-compressed data; decompress it with zstd -d"),
      ([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0], "xz-compressed data; decompress it with xz -d"),
      (Array("070701".utf8), "a cpio archive; give it as the initrd"),
      (Array("MZ".utf8), "an EFI application; give a bzImage, or boot with firmware"),
      (
        [UInt8](repeating: 1, count: 56) + Array("ARMd".utf8),
        "a kernel for ARM; give a kernel for x86-64"
      ),
      (
        [1, 2, 0xFF],
        "a file that begins with 01 02 ff 00 00 00 00 00;"
          + " give a bzImage or a vmlinux with a PVH entry"
      ),
    ] as [([UInt8], String)])
  func otherFiles(start: [UInt8], text: String) {
    #expect(message(start) == "kernel k is no Linux kernel: it is \(text)")
  }

  @Test func emptyFile() {
    #expect(message([], byteCount: 0)?.contains("it is an empty file;") == true)
  }

  @Test func aShortEFIFileIsTruncated() {
    #expect(message([0x4D, 0x5A], byteCount: 100)?.contains("ends after 100 bytes") == true)
  }

  @Test func filesThatCannotBeOpened() {
    for (path, reason) in [
      ("/nonexistent", "No such file or directory (ENOENT)"),
      ("/", "it is not a regular file; copy it to one"),
    ] {
      #expect(throws: MachineError.kernel(.unreadable(file: "initrd \(path)", reason: reason))) {
        try BootFile(path: path, role: "initrd")
      }
    }
  }
}
