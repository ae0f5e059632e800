import Devices

/// Keeps every message.
final class RecordingSink: MSISink {
  private let log = Recorder<MSIMessage>()

  var messages: [MSIMessage] { log.values }

  func send(_ message: MSIMessage) {
    log.append(message)
  }
}

/// Keeps every level that was set.
final class RecordingLine: InterruptLine {
  private let log = Recorder<Bool>()

  var levels: [Bool] { log.values }

  func set(_ isAsserted: Bool) {
    log.append(isAsserted)
  }
}
