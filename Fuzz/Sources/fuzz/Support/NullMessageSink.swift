internal import DeviceKit

/// Takes messages and forgets them.
final class NullMessageSink: MSISink {
  func send(_ message: MSIMessage) {}
}
