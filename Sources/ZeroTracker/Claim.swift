/// Memory withheld for good, and on whose behalf.
public struct Claim: Hashable, Sendable {
  /// The owner of a claim that named none.
  public static let unnamedOwner = "unnamed"

  /// The pages as they were claimed; whole chunks are withheld.
  public let range: PageRange
  /// The writer's name, for people to read.
  public let owner: String

  /// Any range and any text.
  public init(range: PageRange, owner: String) {
    self.range = range
    self.owner = owner
  }
}

/// The last claims verbatim, and how many there were before them.
struct ClaimLog: Sendable {
  static let limit = 64

  private(set) var claims: [Claim] = []
  private(set) var omittedCount: UInt64 = 0

  /// Notes a claim unless the same one is among those kept.
  mutating func note(_ claim: Claim) {
    guard !claims.contains(claim) else { return }
    if claims.count == Self.limit {
      claims.removeFirst()
      omittedCount += 1
    }
    claims.append(claim)
  }
}
