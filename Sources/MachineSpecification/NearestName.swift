/// Finds what a user probably meant: the valid name closest to a mistyped one.
package enum NearestName {
  /// Longer words are no typing mistake, and the distance costs the product of both lengths.
  private static let longestWord = 40

  /// The nearest of `names`, or nil when none is near enough to be worth suggesting.
  ///
  /// Leading dashes and case do not count. An unfinished name (`--mem`) is near when it starts only
  /// one of the names, or when one begins all that it starts (`--memory`, `--memory-hints`).
  /// Otherwise up to a third of the letters may differ; the first of equals wins.
  package static func nearest(to word: String, among names: [String]) -> String? {
    let letters = Self.letters(of: word)
    guard !letters.isEmpty, letters.count <= longestWord else { return nil }

    var best: (name: String, distance: Int)?
    for name in names {
      let candidate = Self.letters(of: name)
      let distance = distance(from: letters, to: candidate)
      let limit = max(1, max(letters.count, candidate.count) / 3)
      if distance <= limit, distance < best?.distance ?? .max { best = (name, distance) }
    }
    if let best { return best.name }

    guard letters.count >= 2 else { return nil }
    let completions = names.filter { Self.letters(of: $0).starts(with: letters) }
    return completions.first { first in
      completions.allSatisfy { Self.letters(of: $0).starts(with: Self.letters(of: first)) }
    }
  }

  /// Insertions, deletions, substitutions and swaps of neighbours that turn one into the other
  /// (optimal string alignment: `memroy` is one step from `memory`).
  package static func distance(from first: [UInt8], to second: [UInt8]) -> Int {
    if first.isEmpty || second.isEmpty { return max(first.count, second.count) }
    var beforePrevious: [Int] = []
    var previous = Array(0...second.count)
    for row in first.indices {
      var current = [row + 1]
      for column in second.indices {
        let isSame = first[row] == second[column]
        var steps = min(
          previous[column + 1] + 1, current[column] + 1, previous[column] + (isSame ? 0 : 1))
        if row > 0, column > 0, first[row] == second[column - 1], first[row - 1] == second[column] {
          steps = min(steps, beforePrevious[column - 1] + 1)
        }
        current.append(steps)
      }
      (beforePrevious, previous) = (previous, current)
    }
    return previous[second.count]
  }

  private static func letters(of word: String) -> [UInt8] {
    Array(word.lowercased().drop { $0 == "-" }.utf8)
  }
}
