/// How often the guest read or wrote a port that no device claims.
public struct UnclaimedAccess: Hashable, Sendable, CustomStringConvertible {
  /// The access's first port.
  public let port: UInt16
  /// Whether it is `out`; otherwise `in`.
  public let isWrite: Bool
  /// Accesses of any width since the bus was made, at least 1.
  public let count: UInt64

  /// A count of accesses in one direction.
  public init(port: UInt16, isWrite: Bool, count: UInt64) {
    self.port = port
    self.isWrite = isWrite
    self.count = count
  }

  /// The direction, port and count: `read of port 0x61: 3`.
  public var description: String {
    "\(isWrite ? "write to" : "read of") port 0x\(String(port, radix: 16)): \(count)"
  }
}
