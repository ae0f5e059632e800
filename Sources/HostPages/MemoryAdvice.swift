/// What madvise(2) takes and the C library does not name.
package enum MemoryAdvice {
  /// *MADV_COLD* of asm-generic/mman-common.h, since Linux 5.4.
  package static let cold: Int32 = 20
  /// *MADV_POPULATE_WRITE* of asm-generic/mman-common.h, since Linux 5.14.
  package static let populateForWriting: Int32 = 23
  /// *MADV_COLLAPSE* of asm-generic/mman-common.h, since Linux 6.1.
  package static let collapse: Int32 = 25
}
