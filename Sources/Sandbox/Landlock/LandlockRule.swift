/// A file, or a directory with all below it, and what may be done there.
public struct LandlockRule: Hashable, Sendable {
  /// Without a NUL, in no particular encoding.
  public var path: [UInt8]
  /// What may be done with it and below it.
  public var access: LandlockAccess

  /// By a path in any encoding.
  public init(path: [UInt8], _ access: LandlockAccess) {
    self.path = path
    self.access = access
  }

  /// By a path that is text.
  public init(_ path: String, _ access: LandlockAccess) {
    self.init(path: Array(path.utf8), access)
  }

  /// For messages.
  var pathText: String { String(decoding: path, as: UTF8.self) }
}
