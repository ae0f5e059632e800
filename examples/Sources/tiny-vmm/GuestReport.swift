import DeviceKit
import HyperVCore
import Synchronization

/// A device of three registers, by which the guest reports what it was told.
///
/// | port offset | width | a write |
/// |---|---|---|
/// | 0 | 2 | is the status of the hypercall |
/// | 4 | 4 | sets the first page of a range |
/// | 8 | 4 | sets its page count, and ends the range |
final class GuestReport: BusDevice {
  struct Contents: Sendable {
    var status: HypercallStatus?
    var ranges: [Range<UInt64>] = []
    fileprivate var start: UInt64 = 0
  }

  /// Several vCPUs may call a device at once, so its registers are under a lock.
  private let state = Mutex(Contents())

  var contents: Contents { state.withLock { $0 } }

  func read(offset: UInt64, width: Int) -> UInt64 { 0 }

  func write(offset: UInt64, width: Int, value: UInt64) {
    state.withLock { state in
      switch (offset, width) {
      case (0, 2): state.status = HypercallStatus(rawValue: UInt16(value))
      case (4, 4): state.start = value
      // The guest may write as often as it likes: what is kept has a bound. Both are 32 bits wide.
      case (8, 4) where state.ranges.count < BootZeroedMemoryReply.maximumRangeCount:
        state.ranges.append(state.start..<state.start + value)
      default: break
      }
    }
  }
}
