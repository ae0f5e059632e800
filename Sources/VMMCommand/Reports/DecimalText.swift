/// Numbers for people to read. Locale-free: the output is the same everywhere.
enum DecimalText {
  /// Thousands separated by commas: `260,864`.
  static func grouped(_ number: UInt64) -> String {
    let digits = Array(String(number))
    var text = ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index) % 3 == 0 { text += "," }
      text.append(digit)
    }
    return text
  }

  /// Rounded to a fixed number of decimals; `-` for what is no finite number.
  static func fixed(_ number: Double, decimals: Int) -> String {
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    let scaled = (number.magnitude * scale).rounded()
    guard scaled.isFinite, scaled < 1e18 else { return "-" }
    let sign = number < 0 && scaled > 0 ? "-" : ""
    guard decimals > 0 else { return sign + "\(UInt64(scaled))" }
    let digits = "\(UInt64(scaled))"
    let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
    return sign + padded.dropLast(decimals) + "." + padded.suffix(decimals)
  }

  /// A share of a whole. Never rounds up to `100.0 %` or down to `0.0 %` what is not quite that.
  static func percent(_ part: UInt64, of whole: UInt64) -> String {
    guard whole > 0 else { return "-" }
    let percent = Double(part) / Double(whole) * 100
    if part < whole, percent > 99.9 { return "99.9 %" }
    if part > 0, percent < 0.1 { return "< 0.1 %" }
    return fixed(percent, decimals: 1) + " %"
  }

  static func seconds(_ seconds: Double) -> String {
    fixed(seconds, decimals: 2) + " s"
  }

  static func counted(_ count: UInt64, _ noun: String) -> String {
    "\(grouped(count)) \(noun)\(count == 1 ? "" : "s")"
  }
}
