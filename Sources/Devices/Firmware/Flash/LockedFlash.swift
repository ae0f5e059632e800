public import DeviceKit

/// A flash chip as accesses outside of system management mode find it: they read, and their writes
/// are dropped, so that only firmware changes its variables. Any thread.
public final class LockedFlash: BusDevice {
  private let chip: FlashChip

  public init(_ chip: FlashChip) {
    self.chip = chip
  }

  /// What the chip gives.
  public func read(offset: UInt64, width: Int) -> UInt64 {
    chip.read(offset: offset, width: width)
  }

  /// Does nothing.
  public func write(offset: UInt64, width: Int, value: UInt64) {}
}
