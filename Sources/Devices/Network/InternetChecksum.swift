internal import Bytes

/// The sum behind the checksums of IPv4, TCP and UDP: 16-bit words, with the carries added. Source:
/// RFC 1071.
struct InternetChecksum {
  /// Of little-endian words: the sum is the same with its bytes swapped (RFC 1071 §2.B).
  private var total: UInt64 = 0

  init() {}

  /// Adds bytes, as if there were an even number of them before.
  mutating func add(_ bytes: RawSpan) {
    var sum: UInt64 = 0
    var offset = 0
    // The halves of 2^29 words fit, which is more than any frame has.
    while offset <= bytes.byteCount - 8 {
      let word: UInt64 = bytes.loadLE(at: offset)
      sum &+= word & 0xFFFF_FFFF
      sum &+= word >> 32
      offset += 8
    }
    while offset <= bytes.byteCount - 2 {
      sum &+= UInt64(bytes.loadLE(at: offset, as: UInt16.self))
      offset += 2
    }
    if offset < bytes.byteCount { sum &+= UInt64(bytes.loadLE(at: offset, as: UInt8.self)) }
    total &+= UInt64(Self.fold(sum))
  }

  /// Adds a word as it reads in a header.
  mutating func add(_ word: UInt16) {
    total &+= UInt64(word.byteSwapped)
  }

  /// The sum as it reads in a header.
  var sum: UInt16 { Self.fold(total).byteSwapped }

  private static func fold(_ sum: UInt64) -> UInt16 {
    var sum = sum
    while sum > 0xFFFF { sum = (sum & 0xFFFF) &+ (sum >> 16) }
    return UInt16(truncatingIfNeeded: sum)
  }
}
