import Devices

/// One call of a device by the bus.
enum DeviceCall: Equatable {
  case read(offset: UInt16, width: Int)
  case write(offset: UInt16, width: Int, value: UInt32)
}

/// A device that records its calls and always answers the same.
final class RecordingDevice: PortDevice {
  private let answer: UInt32
  private let log = Recorder<DeviceCall>()

  init(answer: UInt32 = 0) {
    self.answer = answer
  }

  var calls: [DeviceCall] { log.values }

  func read(offset: UInt16, width: Int) -> UInt32 {
    log.append(.read(offset: offset, width: width))
    return answer
  }

  func write(offset: UInt16, width: Int, value: UInt32) {
    log.append(.write(offset: offset, width: width, value: value))
  }
}
