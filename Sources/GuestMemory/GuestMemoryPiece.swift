/// Neighbouring bytes of guest memory: one of several that a transfer fills or empties in order.
///
/// A description only; whether it is RAM is looked at by what uses it.
public struct GuestMemoryPiece: Hashable, Sendable {
  /// The first byte.
  public let start: GPA
  /// The length in bytes.
  public var byteCount: Int

  /// A piece; every address and count is accepted.
  public init(start: GPA, byteCount: Int) {
    self.start = start
    self.byteCount = byteCount
  }
}
