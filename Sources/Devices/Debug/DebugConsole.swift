public import DeviceKit

/// The Bochs and QEMU debug console: bytes written to port 0xE9 are text for the host.
///
/// Of a wider write only the low byte is text.
public final class DebugConsole: BusDevice {
  /// Where guests expect it: port 0xE9.
  public static let ports = PortRange(start: 0xE9, count: 1)
  /// What a read gives, so that a guest can tell the console from an empty port (0xFF).
  private static let presence: UInt64 = 0xE9

  private let sink: @Sendable (UInt8) -> Void

  /// A console that hands each byte to `sink`, on the writing vCPU's thread, with no lock held.
  public init(sink: @escaping @Sendable (UInt8) -> Void) {
    self.sink = sink
  }

  /// 0xE9, at any width.
  public func read(offset: UInt64, width: Int) -> UInt64 {
    Self.presence
  }

  /// Hands the low byte to the sink.
  public func write(offset: UInt64, width: Int, value: UInt64) {
    sink(UInt8(truncatingIfNeeded: value))
  }
}
