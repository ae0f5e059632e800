public import DeviceKit

/// A port by which a guest ends its run with a code.
public final class ExitPort: BusDevice {
  /// Where our guest programs expect it: port 0xF4, as QEMU's *isa-debug-exit* is usually placed.
  public static let ports = PortRange(start: 0xF4, count: 1)

  private let onExit: @Sendable (UInt32) -> Void

  /// A port that hands each written code to `onExit`, on the writing vCPU's thread, with no lock
  /// held.
  ///
  /// The code is the value as written, unlike QEMU, which exits with `code * 2 + 1`. A guest with
  /// several vCPUs, or one that goes on, may write more than once.
  public init(onExit: @escaping @Sendable (UInt32) -> Void) {
    self.onExit = onExit
  }

  /// All ones.
  public func read(offset: UInt64, width: Int) -> UInt64 {
    .max
  }

  /// Hands the value to `onExit`; a narrow one is zero-extended.
  public func write(offset: UInt64, width: Int, value: UInt64) {
    onExit(UInt32(truncatingIfNeeded: value))
  }
}
