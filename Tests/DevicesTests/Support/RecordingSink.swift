import DeviceKit
import Devices
import TestSupport

/// Keeps every message.
final class RecordingSink: MSISink {
  private let log = Recorder<MSIMessage>()

  var messages: [MSIMessage] { log.values }

  func send(_ message: MSIMessage) {
    log.append(message)
  }
}
