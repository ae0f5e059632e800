internal import Devices

/// Takes messages and forgets them.
final class NullMessageSink: MSISink {
  func send(_ message: MSIMessage) {}
}
