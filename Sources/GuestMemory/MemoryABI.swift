/// What the importer does not take from the C library: GNU extensions and younger constants.
enum MemoryABI {
  /// *MFD_CLOEXEC* of linux/memfd.h.
  static let memfdCloseOnExec: UInt32 = 0x1
  /// *MFD_HUGETLB* of linux/memfd.h.
  static let memfdHugePages: UInt32 = 0x4
  /// *MFD_HUGE_2MB*: 21 (log2 of 2 MiB) at HUGETLB_FLAG_ENCODE_SHIFT, 26.
  static let memfd2MiB: UInt32 = 21 << 26

  /// memfd_create(2), glibc 2.27. Its declaration is behind `_GNU_SOURCE`, which the importer does
  /// not define; the symbol is there. Two integer-sized arguments and an `int` result are passed
  /// alike by Swift and C on x86-64.
  static func createMemoryFile(name: StaticString, flags: UInt32) -> Int32 {
    // SAFETY: a static string is null-terminated and lives for ever.
    unsafe makeMemoryFile(name.utf8Start, flags)
  }
}

@_silgen_name("memfd_create")
private func makeMemoryFile(_ name: UnsafePointer<UInt8>, _ flags: UInt32) -> Int32
