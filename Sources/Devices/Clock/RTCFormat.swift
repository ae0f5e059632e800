/// How register B says numbers and hours are written.
struct RTCFormat: Equatable, Sendable {
  /// Otherwise two decimal digits of four bits.
  var isBinary: Bool
  /// Otherwise 1 to 12, with bit 7 for the afternoon.
  var is24Hour: Bool

  /// 0 to 99.
  func encode(_ value: Int) -> UInt8 {
    UInt8(truncatingIfNeeded: isBinary ? value : (value / 10) << 4 | value % 10)
  }

  /// 0 to 23.
  func encode(hour: Int) -> UInt8 {
    if is24Hour { return encode(hour) }
    return encode((hour + 11) % 12 + 1) | (hour >= 12 ? 0x80 : 0)
  }

  /// Any bits: digits above 9 count as they stand.
  func decode(_ raw: UInt8) -> Int {
    isBinary ? Int(raw) : Int(raw >> 4) * 10 + Int(raw & 0x0F)
  }

  /// Any bits; may be above 23.
  func decode(hour raw: UInt8) -> Int {
    if is24Hour { return decode(raw) }
    return decode(raw & 0x7F) % 12 + (raw & 0x80 != 0 ? 12 : 0)
  }
}
