/// Counts the accesses to ports that no device claims.
///
/// A type of its own, so that the types of its dictionary are made, which takes long, when a guest first
/// misses and not at every start.
struct UnclaimedPorts: Sendable {
  private struct Direction: Hashable {
    let port: UInt16
    let isWrite: Bool
  }

  /// At most two entries per port, 131072 in all, whatever the guest does.
  private var counts: [Direction: UInt64] = [:]

  mutating func count(port: UInt16, isWrite: Bool) {
    // Cannot wrap: at a billion exits a second it would take 584 years.
    counts[Direction(port: port, isWrite: isWrite), default: 0] &+= 1
  }

  /// Each port and direction once, ascending by port, reads before writes.
  var accesses: [UnclaimedAccess] {
    counts.map { UnclaimedAccess(port: $0.port, isWrite: $0.isWrite, count: $1) }
      .sorted { ($0.port, $0.isWrite ? 1 : 0) < ($1.port, $1.isWrite ? 1 : 0) }
  }
}
