/// A device model behind I/O ports or memory-mapped registers.
///
/// It is called on the exiting vCPU's thread, by several of them at once, and guards its registers
/// with its own lock. The guest chooses offset, width and value: no call may trap, and slow work
/// belongs on another thread. A device claimed at several ranges sees offsets from the start of
/// each and cannot tell them apart; give each range its own object where that matters, as
/// `ReportPort` does.
public protocol BusDevice: AnyObject, Sendable {
  /// Answers an `in` instruction or a load.
  ///
  /// - Parameters:
  ///   - offset: from the claimed range's start, in ports or bytes.
  ///   - width: 1, 2 or 4 bytes, on an `MMIOBus` also 8; `offset + width` may pass the range's end.
  /// - Returns: the value in the low `width` bytes; the bus drops what is above.
  func read(offset: UInt64, width: Int) -> UInt64

  /// Takes an `out` instruction or a store.
  ///
  /// - Parameters:
  ///   - offset: from the claimed range's start, in ports or bytes.
  ///   - width: 1, 2 or 4 bytes, on an `MMIOBus` also 8; `offset + width` may pass the range's end.
  ///   - value: the low `width` bytes; the bus clears what is above.
  func write(offset: UInt64, width: Int, value: UInt64)
}

/// Registers whose place the guest programs: asked for accesses that no fixed claim of a bus has.
///
/// Called as a `BusDevice` is, with any address, width and value.
public protocol AddressDecoder: AnyObject, Sendable {
  /// Answers a load or an `in` instruction; nil where nothing is decoded now.
  func read(at address: UInt64, width: Int) -> UInt64?

  /// Takes a store or an `out` instruction.
  ///
  /// - Returns: false where nothing is decoded now.
  func write(at address: UInt64, width: Int, value: UInt64) -> Bool
}

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
