/// A number of bytes as users write and read it: `512M`, `4GiB`, `4096`.
///
/// Units are binary only, because memory is: `1G` is 1,073,741,824 bytes. `1GB` is refused rather
/// than guessed at, since a thousand and 1024 are both common readings of it. A size is never zero.
public struct ByteCount: Hashable, Comparable, Sendable {
  public let bytes: UInt64

  /// Any number; what is read from a text is never 0.
  public init(_ bytes: UInt64) {
    self.bytes = bytes
  }

  public static func kibi(_ count: UInt64) -> ByteCount { ByteCount(count << 10) }
  public static func mebi(_ count: UInt64) -> ByteCount { ByteCount(count << 20) }
  public static func gibi(_ count: UInt64) -> ByteCount { ByteCount(count << 30) }

  /// Reads digits and an optional unit: `K`, `M`, `G`, `T`, or `KiB` to `TiB`, in either case.
  public init(parsing text: String) throws(ByteCountError) {
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

  public static func < (left: ByteCount, right: ByteCount) -> Bool {
    left.bytes < right.bytes
  }
}

/// Why a text is not a size. The text is kept so that the message can show what was typed.
public enum ByteCountError: Error, Equatable, Sendable, CustomStringConvertible {
  case empty
  case notASize(String)
  case fraction(String)
  case decimalUnit(String, binary: String)
  case unknownUnit(String, unit: String)
  case zero(String)
  case tooLarge(String)

  public var description: String {
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

extension ByteCount: CustomStringConvertible {
  private static let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]

  /// For reading: the largest unit that leaves at least one, and one decimal unless it is exact
  /// (`1 GiB`, `12.4 MiB`, `512 bytes`). Rounded to nearest, in integers, so that `1023.99 MiB`
  /// becomes `1 GiB` and not `1024.0 MiB`.
  public var description: String {
    if bytes < 1024 { return bytes == 1 ? "1 byte" : "\(bytes) bytes" }
    var unit = (63 - bytes.leadingZeroBitCount) / 10 - 1
    var tenths = tenths(of: unit)
    if tenths >= 10240, unit + 1 < Self.units.count {
      unit += 1
      tenths = self.tenths(of: unit)
    }
    let isExact = bytes & ((1 << (UInt64(unit + 1) * 10)) - 1) == 0
    let fraction = isExact ? "" : ".\(tenths % 10)"
    return "\(tenths / 10)\(fraction) \(Self.units[unit])"
  }

  /// As an option takes it, losing nothing: the largest unit that divides it (`1536M`, `5000`).
  public var optionText: String {
    for (shift, letter) in [(40, "T"), (30, "G"), (20, "M"), (10, "K")]
    where bytes > 0 && bytes.trailingZeroBitCount >= shift {
      return "\(bytes >> UInt64(shift))\(letter)"
    }
    return "\(bytes)"
  }

  private func tenths(of unit: Int) -> UInt64 {
    let shift = UInt64(unit + 1) * 10
    let whole = bytes >> shift
    let remainder = bytes & ((1 << shift) - 1)
    // The remainder is below 2^60, so ten times it fits.
    return whole * 10 + (remainder * 10 + (1 << (shift - 1))) >> shift
  }
}
