extension ByteCount: CustomStringConvertible {
  private static let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]

  /// For reading: the largest unit that leaves at least one, and one decimal unless it is exact
  /// (`1 GiB`, `12.4 MiB`, `512 bytes`). Rounded to nearest, in integers, so that `1023.99 MiB`
  /// becomes `1 GiB` and not `1024.0 MiB`.
  var description: String {
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
  var optionText: String {
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
