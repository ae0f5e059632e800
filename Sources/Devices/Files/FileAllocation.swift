internal import Glibc

/// What fallocate(2) does with a range of a file or block device. The file's size stays.
struct FileAllocation: Hashable, Sendable {
  /// Does it to a range, which is not empty, of an open file; returns 0 or the error number.
  typealias Call =
    @Sendable (_ allocation: FileAllocation, _ descriptor: Int32, _ range: Range<UInt64>) -> Int32

  /// The call's mode bits of linux/falloc.h.
  private let mode: Int32

  /// *FALLOC_FL_PUNCH_HOLE*: gives the blocks back; the bytes read zero.
  static let punchHole = FileAllocation(mode: 0x02)
  /// *FALLOC_FL_ZERO_RANGE*: the bytes read zero, the blocks stay reserved.
  static let zeroRange = FileAllocation(mode: 0x10)
  /// *FALLOC_FL_KEEP_SIZE*.
  private static let keepSize: Int32 = 0x01

  /// fallocate(2).
  static let systemCall: Call = { allocation, descriptor, range in
    while true {
      let result = fallocate(
        descriptor, allocation.mode | keepSize, off_t(clamping: range.lowerBound),
        off_t(clamping: range.upperBound - range.lowerBound))
      if result == 0 { return 0 }
      let error = errno
      if error != EINTR { return error }
    }
  }
}

/// fallocate(2). Its declaration is behind `_GNU_SOURCE`, which the importer does not define; the
/// symbol is there. Integer arguments and an `int` result are passed alike by Swift and C on
/// x86-64.
@_silgen_name("fallocate")
private func fallocate(_ descriptor: Int32, _ mode: Int32, _ offset: off_t, _ count: off_t) -> Int32
