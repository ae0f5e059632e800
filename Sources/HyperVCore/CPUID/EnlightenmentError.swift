/// Why a partition cannot be described as asked.
public struct EnlightenmentError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The kinds of fault.
  public enum Reason: Equatable, Sendable {
    /// An enlightenment was chosen without others that it needs.
    case missing(Enlightenments, neededBy: Enlightenments)
    /// Bits that stand for no enlightenment.
    case unknownBits(UInt64)
    /// A number of virtual processors that no leaf can hold: below 1 or past 32 bits.
    case virtualProcessorCount(Int)
  }

  /// What is at fault.
  public let reason: Reason

  /// Wraps a reason.
  public init(_ reason: Reason) {
    self.reason = reason
  }

  /// What was attempted, what is missing and what to add, in one line.
  public var description: String {
    switch reason {
    case .missing(let missing, let dependent):
      "cannot enable Hyper-V enlightenment \(dependent) without \(missing); "
        + "add \(missing) or remove \(dependent)"
    case .unknownBits(let bits):
      "cannot enable Hyper-V enlightenments \(bits.hexadecimal): no such bits; known names are "
        + Enlightenments.names.joined(separator: ", ")
    case .virtualProcessorCount(let count):
      "cannot describe a partition of \(count) virtual processors; use 1 to \(UInt32.max)"
    }
  }
}
