/// Splits accesses to 8-bit registers at consecutive addresses, lowest first, as the bus bridge
/// does.
package enum ByteLanes {
  /// Reads `width` registers from `offset`; those at `registerCount` and above read as 0xFF.
  package static func read(
    offset: UInt64, width: Int, registerCount: UInt64, _ register: (UInt64) -> UInt8
  ) -> UInt64 {
    var value: UInt64 = 0
    for lane in lanes(width) {
      // Wraps for no offset below a range's end.
      let index = offset &+ lane
      let byte = index < registerCount ? register(index) : 0xFF
      value |= UInt64(byte) << (8 * lane)
    }
    return value
  }

  /// Writes `width` registers from `offset`; those at `registerCount` and above take nothing.
  package static func write(
    offset: UInt64, width: Int, value: UInt64, registerCount: UInt64,
    _ register: (UInt64, UInt8) -> Void
  ) {
    for lane in lanes(width) where offset &+ lane < registerCount {
      register(offset &+ lane, UInt8(truncatingIfNeeded: value >> (8 * lane)))
    }
  }

  /// No width traps, and none has more lanes than the value has bytes.
  private static func lanes(_ width: Int) -> Range<UInt64> {
    0..<UInt64(min(max(width, 0), 8))
  }
}
