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
