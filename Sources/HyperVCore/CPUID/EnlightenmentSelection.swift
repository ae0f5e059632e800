/// A choice of enlightenments, made before it is known what is available. A thread-safe value.
public struct EnlightenmentSelection: Hashable, Sendable {
  /// What is added to and taken from.
  public enum Base: Hashable, Sendable {
    /// Nothing.
    case none
    /// What is good for guests on the host.
    case recommended
    /// Everything that is available.
    case all
  }

  /// Where the choice begins.
  public var base: Base
  /// Members that are always included.
  public var added: Enlightenments
  /// Members that are not to be there.
  public var removed: Enlightenments

  /// Composes a selection.
  public init(
    _ base: Base, adding added: Enlightenments = [], removing removed: Enlightenments = []
  ) {
    self.base = base
    self.added = added
    self.removed = removed
  }

  /// What is good for guests on the host.
  public static let recommended = EnlightenmentSelection(.recommended)

  /// These and no others.
  public static func exactly(_ enlightenments: Enlightenments) -> EnlightenmentSelection {
    EnlightenmentSelection(.none, adding: enlightenments)
  }

  /// The set, given what is recommended and what is available; not validated, and not limited to
  /// the latter.
  public func resolved(recommended: Enlightenments, all: Enlightenments) -> Enlightenments {
    let start: Enlightenments =
      switch base {
      case .none: []
      case .recommended: recommended
      case .all: all
      }
    return start.union(added).subtracting(removed)
  }
}

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
