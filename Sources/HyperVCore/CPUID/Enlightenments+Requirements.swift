extension Enlightenments {
  /// What an enlightenment cannot do without.
  ///
  /// For several, all that any of them needs. What is needed only by what is needed is included, so
  /// adding the requirements to a set of known enlightenments always makes it valid.
  public static func requirements(of enlightenments: Enlightenments) -> Enlightenments {
    table.reduce(into: []) { needed, entry in
      if enlightenments.contains(entry.member) { needed.formUnion(entry.requirements) }
    }
  }

  /// The members that are left once others are gone: without `missing` and all that needs any of
  /// it.
  public func removing(_ missing: Enlightenments) -> Enlightenments {
    // Requirements include those of requirements, so once is enough.
    Self.table.reduce(into: subtracting(missing)) { left, entry in
      if !entry.requirements.isDisjoint(with: missing) { left.remove(entry.member) }
    }
  }

  /// Refuses a set with unknown bits, or with an enlightenment that lacks what it needs.
  ///
  /// Of several faults, reports the first in the order of ``names``.
  public func validate() throws(EnlightenmentError) {
    guard unknownBits == 0 else { throw EnlightenmentError(.unknownBits(unknownBits)) }
    for entry in Self.table where contains(entry.member) {
      let missing = entry.requirements.subtracting(self)
      guard missing.isEmpty else {
        throw EnlightenmentError(.missing(missing, neededBy: entry.member))
      }
    }
  }
}
