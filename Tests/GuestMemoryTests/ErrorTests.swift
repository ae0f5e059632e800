import Glibc
import GuestMemory
import Testing

@Suite struct ErrorTests {
  static let messages: [(GuestMemoryError, String)] = [
    (
      .layout(byteCount: 5),
      "guest memory of 5 bytes: give a multiple of 4 KiB from 1 MiB to 4 TiB"
    ),
    (
      .backingAlignment(.hugetlb, byteCount: 0x10_0000),
      "hugetlb guest memory of 1048576 bytes: give a multiple of 2 MiB, or another backing"
    ),
    (
      .notRAM(GPA(0x8000_0000), byteCount: 16),
      "access to 0x10 bytes at GPA 0x80000000: not all RAM of one region"
    ),
    (
      .notRAM(GPA(0), byteCount: -1), "access to -1 bytes at GPA 0x0: not all RAM of one region"
    ),
    (
      .allocation(.hugetlb, operation: "mmap", byteCount: 3 << 20, errno: ENOMEM),
      "mmap of 3145728 bytes of hugetlb guest memory: Cannot allocate memory (ENOMEM); "
        + "reserve 2 free 2 MiB pages: echo N > /proc/sys/vm/nr_hugepages, N = those in use + 2"
    ),
    (
      .allocation(.hugetlb, operation: "memfd_create", byteCount: 4096, errno: ENOSYS),
      "memfd_create of 4096 bytes of hugetlb guest memory: Function not implemented (ENOSYS); "
        + "the kernel must offer hugetlb memory"
    ),
    (
      .allocation(.memfd, operation: "memfd_create", byteCount: 4096, errno: EMFILE),
      "memfd_create of 4096 bytes of memfd guest memory: Too many open files (EMFILE); "
        + "raise the limit of open files (ulimit -n)"
    ),
    (
      .allocation(.memfd, operation: "ftruncate", byteCount: 4096, errno: EFBIG),
      "ftruncate of 4096 bytes of memfd guest memory: File too large (EFBIG); "
        + "raise the limit of file sizes (ulimit -f)"
    ),
    (
      .system(operation: "pread", GPA(0x1000), byteCount: 512, errno: EIO),
      "pread of 0x200 bytes at GPA 0x1000: Input/output error (EIO)"
    ),
    (
      .fileEnded(GPA(0x1000), byteCount: 512, transferredByteCount: 16),
      "transfer of 0x200 bytes between a file and GPA 0x1000: the file ended after 0x10; "
        + "give a larger file or fewer bytes"
    ),
    (
      .residency(operation: "fstat", errno: 9999),
      "resident guest memory: fstat: error 9999; mount /proc"
    ),
  ]

  @Test(arguments: messages)
  func messagesSayWhatAndWhatToDo(error: GuestMemoryError, message: String) {
    #expect("\(error)" == message)
  }

  /// Sparse, so it needs address space only; a host with strict overcommit or limits may refuse.
  @Test func theLargestLayoutIsMappedOrRefusedCleanly() throws {
    let layout = try GuestMemoryLayout(ramByteCount: GuestMemoryLayout.maximumByteCount)
    do {
      let memory = try GuestMemory(layout: layout)
      let last = GPA(layout.regions[1].end.rawValue - 8)
      try memory.store(1 as UInt64, at: last)
      #expect(try memory.load(at: last, as: UInt64.self) == 1)
    } catch {
      guard case .allocation(.anonymous, _, _, let errno) = error else {
        throw error
      }
      #expect(errno == ENOMEM)
    }
  }
}
