public import DeviceKit
internal import Synchronization

/// The ACPI power management timer: counts up at 3.579545 MHz, three times the PC's timer clock.
///
/// Source: ACPI 6.5 §4.8.2.1. Firmware and kernels wait by reading it, so a read takes no lock.
public final class PMTimer: BusDevice {
  /// Ticks in a second.
  public static let frequencyHertz: UInt64 = 3_579_545

  private let valueMask: UInt64
  private let carryShift: UInt64
  private let nanoseconds: @Sendable () -> UInt64
  /// What is added to them, with a carry that is dropped: a restored timer goes on where it was.
  private let offset = Atomic<UInt64>(0)

  /// A timer of 24 or 32 bits.
  ///
  /// - Parameters:
  ///   - isExtended: 32 bits, as flag *TMR_VAL_EXT* of the FADT says.
  ///   - nanoseconds: a monotonic clock.
  public init(isExtended: Bool = false, nanoseconds: @escaping @Sendable () -> UInt64) {
    valueMask = isExtended ? 0xFFFF_FFFF : 0xFF_FFFF
    carryShift = isExtended ? 31 : 23
    self.nanoseconds = nanoseconds
  }

  /// The counter.
  public var value: UInt32 {
    UInt32(truncatingIfNeeded: ticks & valueMask)
  }

  /// How often the counter's top bit changed: each change is a timer carry, *TMR_STS*.
  var carryCount: UInt64 {
    ticks >> carryShift
  }

  /// The counter's bytes from `offset`; 0 past its four.
  public func read(offset: UInt64, width: Int) -> UInt64 {
    offset < 4 ? UInt64(value) >> (8 * offset) : 0
  }

  /// Nothing: the counter is read-only.
  public func write(offset: UInt64, width: Int, value: UInt64) {}

  private var now: UInt64 { nanoseconds() &+ offset.load(ordering: .relaxed) }

  private var ticks: UInt64 {
    // Exact, and the quotient fits: the upper half is below the frequency, so below the divisor.
    let product = now.multipliedFullWidth(by: Self.frequencyHertz)
    return (1_000_000_000 as UInt64).dividingFullWidth(product).quotient
  }
}

extension PMTimer: StatefulDevice {
  /// The time that has passed: whatever the clock behind it shows elsewhere, it goes on.
  public func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    var now = now
    try transfer.integer(&now)
    if transfer.isRestoring { offset.store(now &- nanoseconds(), ordering: .relaxed) }
  }
}
