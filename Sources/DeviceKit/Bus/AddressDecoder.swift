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
