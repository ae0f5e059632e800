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
