internal import DeviceKit

/// The far end of a network card's cable, which looks at what it gets, and has nothing to give.
final class FuzzCable: NetworkBackend {
  /// The longest frame without the header.
  let maximumFrameByteCount: Int
  let headerByteCount: Int
  let mtu: UInt16?
  let offloads: NetworkOffloads
  let hasLink = true
  /// The queue pairs behind this one.
  let others: [FuzzCable]
  var queuePairs: [any NetworkQueuePair] { [self] + others }

  init(
    maximumFrameByteCount: Int = 65_535, headerByteCount: Int = 0, mtu: UInt16? = nil,
    offloads: NetworkOffloads = [], others: [FuzzCable] = []
  ) {
    self.maximumFrameByteCount = maximumFrameByteCount
    self.headerByteCount = headerByteCount
    self.mtu = mtu
    self.offloads = offloads
    self.others = others
  }

  func setReceiveOffloads(_ offloads: NetworkOffloads) {}
  func start() {}
  func stop() {}

  func send(_ frames: inout NetworkFrames) {
    while let count = frames.firstByteCount {
      require(
        (14...maximumFrameByteCount).contains(count - headerByteCount), "a frame of \(count) bytes")
      frames.removeFirst()
    }
  }

  func receive(_ take: (inout NetworkFrames) -> Void) -> NetworkReception { .stopped }
}
