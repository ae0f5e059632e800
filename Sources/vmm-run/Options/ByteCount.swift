/// A number of bytes as users write and read it: `512M`, `4GiB`, `4096`.
///
/// Units are binary only, because memory is: `1G` is 1,073,741,824 bytes. `1GB` is refused rather
/// than guessed at, since a thousand and 1024 are both common readings of it. A size is never zero.
struct ByteCount: Hashable, Comparable, Sendable {
  let bytes: UInt64

  init(_ bytes: UInt64) {
    self.bytes = bytes
  }

  static func kibi(_ count: UInt64) -> ByteCount { ByteCount(count << 10) }
  static func mebi(_ count: UInt64) -> ByteCount { ByteCount(count << 20) }
  static func gibi(_ count: UInt64) -> ByteCount { ByteCount(count << 30) }

  /// Reads digits and an optional unit: `K`, `M`, `G`, `T`, or `KiB` to `TiB`, in either case.
  init(parsing text: String) throws(ByteCountError) {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    let unit = text.dropFirst(digits.count)
    guard !text.isEmpty else { throw .empty }
    guard !digits.isEmpty else { throw .notASize(text) }

    let shift: UInt64
    switch unit.lowercased() {
    case "": shift = 0
    case "k", "kib": shift = 10
    case "m", "mib": shift = 20
    case "g", "gib": shift = 30
    case "t", "tib": shift = 40
    case "kb", "mb", "gb", "tb":
      throw .decimalUnit(text, binary: digits + unit.prefix(1).uppercased())
    default:
      if unit.first == "." || unit.first == "," { throw .fraction(text) }
      throw .unknownUnit(text, unit: String(unit))
    }

    guard let count = UInt64(digits) else { throw .tooLarge(text) }
    let (bytes, overflow) = count.multipliedReportingOverflow(by: 1 << shift)
    guard !overflow else { throw .tooLarge(text) }
    guard bytes > 0 else { throw .zero(text) }
    self.bytes = bytes
  }

  static func < (left: ByteCount, right: ByteCount) -> Bool {
    left.bytes < right.bytes
  }
}

/// Why a text is not a size. The text is kept so that the message can show what was typed.
enum ByteCountError: Error, Equatable, CustomStringConvertible {
  case empty
  case notASize(String)
  case fraction(String)
  case decimalUnit(String, binary: String)
  case unknownUnit(String, unit: String)
  case zero(String)
  case tooLarge(String)

  var description: String {
    switch self {
    case .empty:
      "a size is missing; write for example 512M or 4G"
    case .notASize(let text):
      "\(QuotedText(text)) is not a size; write for example 512M or 4G"
    case .fraction(let text):
      "\(QuotedText(text)) has a fraction; write a smaller unit, for example 1536M for 1.5 GiB"
    case .decimalUnit(let text, let binary):
      "\(QuotedText(text)) could mean units of 1000 or of 1024; write \(binary) or \(binary)iB "
        + "for 1024"
    case .unknownUnit(let text, let unit):
      "\(QuotedText(text)) has the unknown unit \(QuotedText(unit)); units are K, M, G and T, or "
        + "KiB, MiB, GiB and TiB"
    case .zero(let text):
      "\(QuotedText(text)) is no memory at all; write for example 512M or 4G"
    case .tooLarge(let text):
      "\(QuotedText(text)) is too large; the largest size has 64 bits, just below 16777216T"
    }
  }
}
