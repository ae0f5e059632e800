extension FixedWidthInteger where Self: UnsignedInteger {
  /// Lower-case hexadecimal with `0x`, without leading zeros: how messages print addresses and
  /// codes.
  var hexadecimal: String { "0x" + String(self, radix: 16) }
}
