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

  /// With three significant digits, or as many as the whole part has.
  var threeDigits: String {
    fixed(self < 0.01 ? 5 : self < 0.1 ? 4 : self < 1 ? 3 : self < 10 ? 2 : self < 100 ? 1 : 0)
  }

  /// Seconds as milliseconds.
  var milliseconds: String { (self * 1e3).threeDigits }
}

/// A count of bytes in the largest binary unit that divides it.
func binaryUnits(_ byteCount: Int) -> String {
  for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")]
  where byteCount >= 1 << shift && byteCount % (1 << shift) == 0 {
    return "\(byteCount >> shift) \(unit)"
  }
  return "\(byteCount) bytes"
}
