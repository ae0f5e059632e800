import DeviceKit
import Devices
import Synchronization
import TestSupport

/// A decoder whose place a test chooses: reads give the offset below 0xAB00.
final class MovedDevice: AddressDecoder {
  private let place: Mutex<UInt64>
  private let count: UInt64
  private let log = Recorder<[UInt64]>()

  init(start: UInt64, count: UInt64) {
    place = Mutex(start)
    self.count = count
  }

  var start: UInt64 {
    get { place.withLock { $0 } }
    set { place.withLock { $0 = newValue } }
  }

  /// Offset, width and value of each.
  var writes: [[UInt64]] { log.values }

  func read(at address: UInt64, width: Int) -> UInt64? {
    offset(of: address).map { 0xAB00 | $0 }
  }

  func write(at address: UInt64, width: Int, value: UInt64) -> Bool {
    guard let offset = offset(of: address) else { return false }
    log.append([offset, UInt64(width), value])
    return true
  }

  private func offset(of address: UInt64) -> UInt64? {
    let offset = address &- start
    return offset < count ? offset : nil
  }
}
