public import DeviceKit

/// A port whose every write is a message to the VMM, such as "start the other vCPUs" or "progress".
public final class SignalPort: BusDevice {
  private let onWrite: @Sendable (UInt32) -> Void

  /// A port that hands each written value to `onWrite`, on the writing vCPU's thread, with no lock
  /// held.
  public init(onWrite: @escaping @Sendable (UInt32) -> Void) {
    self.onWrite = onWrite
  }

  /// All ones.
  public func read(offset: UInt64, width: Int) -> UInt64 {
    .max
  }

  /// Hands the value to `onWrite`, whatever the offset; a narrow one is zero-extended.
  public func write(offset: UInt64, width: Int, value: UInt64) {
    onWrite(UInt32(truncatingIfNeeded: value))
  }
}
