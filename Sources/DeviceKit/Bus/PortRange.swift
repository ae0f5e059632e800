/// Consecutive I/O ports, at least one, within the 64 KiB port space.
public struct PortRange: Hashable, Sendable, CustomStringConvertible {
  /// The first port.
  public let start: UInt16
  /// The number of ports, 1 to 65535.
  public let count: UInt16

  /// The ports `start` to `start + count - 1`.
  ///
  /// Ranges are the VMM's choice, never the guest's: no ports, or ports past 0xFFFF, are a mistake
  /// of ours and trap.
  public init(start: UInt16, count: UInt16) {
    precondition(count > 0, "no ports at 0x\(String(start, radix: 16))")
    precondition(
      !start.addingReportingOverflow(count - 1).overflow,
      "\(count) ports at 0x\(String(start, radix: 16)) pass port 0xffff")
    self.start = start
    self.count = count
  }

  /// The last port; unlike the port after it, it always fits 16 bits.
  public var last: UInt16 {
    start + (count - 1)
  }

  /// Whether the port is one of these.
  public func contains(_ port: UInt16) -> Bool {
    start <= port && port <= last
  }

  /// Whether some port is in both.
  public func overlaps(_ other: PortRange) -> Bool {
    start <= other.last && other.start <= last
  }

  /// The ports in hexadecimal: `port 0xe9`, or `ports 0x70 to 0x71`.
  public var description: String {
    let first = "0x" + String(start, radix: 16)
    return count == 1 ? "port \(first)" : "ports \(first) to 0x\(String(last, radix: 16))"
  }
}
