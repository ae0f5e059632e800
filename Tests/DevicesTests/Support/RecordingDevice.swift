import DeviceKit
import Devices
import TestSupport

/// One call of a device by the bus.
enum DeviceCall: Equatable {
  case read(offset: UInt64, width: Int)
  case write(offset: UInt64, width: Int, value: UInt64)
}

/// A device that records its calls and always answers the same.
final class RecordingDevice: BusDevice {
  private let answer: UInt64
  private let log = Recorder<DeviceCall>()

  init(answer: UInt64 = 0) {
    self.answer = answer
  }

  var calls: [DeviceCall] { log.values }

  func read(offset: UInt64, width: Int) -> UInt64 {
    log.append(.read(offset: offset, width: width))
    return answer
  }

  func write(offset: UInt64, width: Int, value: UInt64) {
    log.append(.write(offset: offset, width: width, value: value))
  }
}
