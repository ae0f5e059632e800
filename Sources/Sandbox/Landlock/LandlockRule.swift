/// A file, or a directory with all below it, and what may be done there.
public struct LandlockRule: Hashable, Sendable {
  public var path: String
  public var access: LandlockAccess

  public init(_ path: String, _ access: LandlockAccess) {
    self.path = path
    self.access = access
  }
}
