extension Double {
  /// With so many digits behind the point.
  func fixed(_ digits: Int) -> String {
    guard isFinite, abs(self) < 1e15 else { return "-" }
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let scaled = Int((abs(self) * scale).rounded())
    let sign = self < 0 && scaled != 0 ? "-" : ""
    guard digits > 0 else { return "\(sign)\(scaled)" }
    let fraction = String(scaled % Int(scale))
    let zeros = String(repeating: "0", count: digits - fraction.count)
    return "\(sign)\(scaled / Int(scale)).\(zeros)\(fraction)"
  }

  /// Seconds as milliseconds, with three significant digits or more.
  var milliseconds: String {
    let value = self * 1e3
    return value.fixed(value < 0.1 ? 4 : value < 1 ? 3 : value < 100 ? 2 : 0)
  }
}

/// A count of bytes in the largest binary unit that divides it.
func binaryUnits(_ byteCount: Int) -> String {
  for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")]
  where byteCount >= 1 << shift && byteCount % (1 << shift) == 0 {
    return "\(byteCount >> shift) \(unit)"
  }
  return "\(byteCount) bytes"
}
