/// A device model behind I/O ports.
///
/// It is called on the exiting vCPU's thread, by several of them at once, and guards its registers with
/// its own lock. The guest chooses offset, width and value: no call may trap, and slow work belongs on
/// another thread. A device claimed at several ranges sees offsets from the start of each and cannot
/// tell them apart; give each range its own object where that matters, as `ReportPort` does.
public protocol PortDevice: AnyObject, Sendable {
  /// Answers an `in` instruction.
  ///
  /// - Parameters:
  ///   - offset: from the claimed range's start, in ports.
  ///   - width: 1, 2 or 4 bytes; `offset + width` may pass the range's end.
  /// - Returns: the value in the low `width` bytes; the bus drops what is above.
  func read(offset: UInt16, width: Int) -> UInt32

  /// Takes an `out` instruction.
  ///
  /// - Parameters:
  ///   - offset: from the claimed range's start, in ports.
  ///   - width: 1, 2 or 4 bytes; `offset + width` may pass the range's end.
  ///   - value: the low `width` bytes; the bus clears what is above.
  func write(offset: UInt16, width: Int, value: UInt32)
}
