internal import Bytes

/// The Data Encryption Standard, one block of 8 bytes: all that *VNC Authentication* has.
///
/// Bits are numbered from 1, the highest, as the standard does. Source: FIPS 46-3.
struct DES: Sendable {
  private let roundKeys: [UInt64]

  /// - Parameter key: 8 bytes; the low bit of each is ignored.
  init(key: [UInt8]) {
    precondition(key.count == 8, "key of \(key.count) bytes")
    let chosen = Self.permute(key.loadBE(at: 0), width: 64, Self.keyChoice1)
    var left = chosen >> 28
    var right = chosen & 0xFFF_FFFF
    roundKeys = Self.keyShifts.map { shift in
      left = (left << shift | left >> (28 - shift)) & 0xFFF_FFFF
      right = (right << shift | right >> (28 - shift)) & 0xFFF_FFFF
      return Self.permute(left << 28 | right, width: 56, Self.keyChoice2)
    }
  }

  /// Enciphers 8 bytes.
  func encipher(_ block: [UInt8]) -> [UInt8] {
    precondition(block.count == 8, "block of \(block.count) bytes")
    let start = Self.permute(block.loadBE(at: 0), width: 64, Self.initialPermutation)
    var left = start >> 32
    var right = start & 0xFFFF_FFFF
    for key in roundKeys {
      let mixed = Self.permute(right, width: 32, Self.expansion) ^ key
      var chosen: UInt64 = 0
      for box in 0..<8 {
        let bits = Int(mixed >> UInt64(42 - 6 * box) & 0x3F)
        // The outer bits are the row, the inner ones the column.
        let row = bits >> 4 & 2 | bits & 1
        let column = bits >> 1 & 0xF
        chosen = chosen << 4 | UInt64(Self.boxes[box][16 * row + column])
      }
      (left, right) = (right, left ^ Self.permute(chosen, width: 32, Self.permutation))
    }
    let end = Self.permute(right << 32 | left, width: 64, Self.finalPermutation)
    return end.bigEndianBytes
  }

  private static func permute(_ value: UInt64, width: Int, _ table: [UInt8]) -> UInt64 {
    var result: UInt64 = 0
    for place in table {
      let bit: UInt64 = value >> UInt64(width - Int(place)) & 1
      result = result << 1 | bit
    }
    return result
  }

  private static let keyShifts: [UInt64] = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1]

  // *IP*, rows of 8 bits that are 8 apart.
  private static let initialPermutation: [UInt8] = [58, 60, 62, 64, 57, 59, 61, 63].flatMap {
    first in (0..<8).map { UInt8(first - 8 * $0) }
  }

  // *IP⁻¹*.
  private static let finalPermutation: [UInt8] = (0..<64).map { place in
    let from = initialPermutation.firstIndex(of: UInt8(place + 1)) ?? 0
    return UInt8(from + 1)
  }

  // *E*: groups of four bits, each with its neighbours.
  private static let expansion: [UInt8] = (0..<48).map { place in
    let (group, bit) = (place / 6, place % 6)
    return UInt8((4 * group + bit + 31) % 32 + 1)
  }

  // *P*.
  private static let permutation: [UInt8] = [
    16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10,
    2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25,
  ]

  // *PC-1*.
  private static let keyChoice1: [UInt8] = [
    57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18,
    10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36,
    63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22,
    14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4,
  ]

  // *PC-2*.
  private static let keyChoice2: [UInt8] = [
    14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10,
    23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2,
    41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48,
    44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
  ]

  // *S1* to *S8*, four rows of 16 each.
  private static let boxes: [[UInt8]] = [
    [
      14, 4, 13, 1, 2, 15, 11, 8, 3, 10, 6, 12, 5, 9, 0, 7,
      0, 15, 7, 4, 14, 2, 13, 1, 10, 6, 12, 11, 9, 5, 3, 8,
      4, 1, 14, 8, 13, 6, 2, 11, 15, 12, 9, 7, 3, 10, 5, 0,
      15, 12, 8, 2, 4, 9, 1, 7, 5, 11, 3, 14, 10, 0, 6, 13,
    ],
    [
      15, 1, 8, 14, 6, 11, 3, 4, 9, 7, 2, 13, 12, 0, 5, 10,
      3, 13, 4, 7, 15, 2, 8, 14, 12, 0, 1, 10, 6, 9, 11, 5,
      0, 14, 7, 11, 10, 4, 13, 1, 5, 8, 12, 6, 9, 3, 2, 15,
      13, 8, 10, 1, 3, 15, 4, 2, 11, 6, 7, 12, 0, 5, 14, 9,
    ],
    [
      10, 0, 9, 14, 6, 3, 15, 5, 1, 13, 12, 7, 11, 4, 2, 8,
      13, 7, 0, 9, 3, 4, 6, 10, 2, 8, 5, 14, 12, 11, 15, 1,
      13, 6, 4, 9, 8, 15, 3, 0, 11, 1, 2, 12, 5, 10, 14, 7,
      1, 10, 13, 0, 6, 9, 8, 7, 4, 15, 14, 3, 11, 5, 2, 12,
    ],
    [
      7, 13, 14, 3, 0, 6, 9, 10, 1, 2, 8, 5, 11, 12, 4, 15,
      13, 8, 11, 5, 6, 15, 0, 3, 4, 7, 2, 12, 1, 10, 14, 9,
      10, 6, 9, 0, 12, 11, 7, 13, 15, 1, 3, 14, 5, 2, 8, 4,
      3, 15, 0, 6, 10, 1, 13, 8, 9, 4, 5, 11, 12, 7, 2, 14,
    ],
    [
      2, 12, 4, 1, 7, 10, 11, 6, 8, 5, 3, 15, 13, 0, 14, 9,
      14, 11, 2, 12, 4, 7, 13, 1, 5, 0, 15, 10, 3, 9, 8, 6,
      4, 2, 1, 11, 10, 13, 7, 8, 15, 9, 12, 5, 6, 3, 0, 14,
      11, 8, 12, 7, 1, 14, 2, 13, 6, 15, 0, 9, 10, 4, 5, 3,
    ],
    [
      12, 1, 10, 15, 9, 2, 6, 8, 0, 13, 3, 4, 14, 7, 5, 11,
      10, 15, 4, 2, 7, 12, 9, 5, 6, 1, 13, 14, 0, 11, 3, 8,
      9, 14, 15, 5, 2, 8, 12, 3, 7, 0, 4, 10, 1, 13, 11, 6,
      4, 3, 2, 12, 9, 5, 15, 10, 11, 14, 1, 7, 6, 0, 8, 13,
    ],
    [
      4, 11, 2, 14, 15, 0, 8, 13, 3, 12, 9, 7, 5, 10, 6, 1,
      13, 0, 11, 7, 4, 9, 1, 10, 14, 3, 5, 12, 2, 15, 8, 6,
      1, 4, 11, 13, 12, 3, 7, 14, 10, 15, 6, 8, 0, 5, 9, 2,
      6, 11, 13, 8, 1, 4, 10, 7, 9, 5, 0, 15, 14, 2, 3, 12,
    ],
    [
      13, 2, 8, 4, 6, 15, 11, 1, 10, 9, 3, 14, 5, 0, 12, 7,
      1, 15, 13, 8, 10, 3, 7, 4, 12, 5, 6, 11, 0, 14, 9, 2,
      7, 11, 4, 1, 9, 12, 14, 2, 0, 6, 10, 13, 15, 3, 5, 8,
      2, 1, 14, 7, 4, 10, 8, 13, 15, 12, 9, 0, 3, 5, 6, 11,
    ],
  ]
}

/// *VNC Authentication*: a viewer enciphers a challenge with the password. Source: RFC 6143,
/// section 7.2.2.
///
/// Only the first 8 bytes of a password count, and what follows can be read by all on the way: it
/// keeps out neighbours, not listeners.
struct VNCAuthentication: Sendable {
  static let challengeByteCount = 16
  private let cipher: DES

  /// - Parameter password: any bytes; those after the eighth are dropped, as viewers do.
  init(password: [UInt8]) {
    let padded = password.prefix(8) + repeatElement(0, count: max(8 - password.count, 0))
    // The first program had the bits of each byte reversed.
    cipher = DES(
      key: padded.map { byte in
        var reversed: UInt8 = 0
        for bit in 0..<8 where byte >> UInt8(bit) & 1 != 0 { reversed |= 0x80 >> UInt8(bit) }
        return reversed
      })
  }

  /// What a viewer answers that has the password.
  func response(to challenge: [UInt8]) -> [UInt8] {
    cipher.encipher(Array(challenge.prefix(8))) + cipher.encipher(Array(challenge.dropFirst(8)))
  }

  /// Whether it is the answer; takes the same time wherever it differs.
  func accepts(_ response: [UInt8], to challenge: [UInt8]) -> Bool {
    let right = self.response(to: challenge)
    guard response.count == right.count else { return false }
    return zip(response, right).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
  }
}
