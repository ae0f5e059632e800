import Bytes
import DeviceKit
import HostSystem
import TestSupport

/// The far end of a cable, in the test's hands: it hands over what is put in, and keeps what is
/// sent.
final class TestCable: NetworkBackend {
  private struct State {
    var incoming: [[UInt8]] = []
    var sent: [[UInt8]] = []
    var sendCallCount = 0
    var isStopped = false
    var hasLink = true
    var linkChanged = false
    var isIdle = false
    var offloads: NetworkOffloads = []
    var pairCount = 1
  }

  let headerByteCount: Int
  let maximumFrameByteCount: Int
  let mtu: UInt16?
  let offloads: NetworkOffloads
  /// The queue pairs behind this one, with frames of their own.
  let others: [TestCable]
  private let state = Guarded(State())
  private let wakeUp = TestSemaphore()
  private let frames: Guarded<NetworkFrames>

  init(
    headerByteCount: Int = 0, maximumFrameByteCount: Int = 1514, mtu: UInt16? = 1500,
    offloads: NetworkOffloads = [], others: [TestCable] = []
  ) {
    self.headerByteCount = headerByteCount
    self.maximumFrameByteCount = maximumFrameByteCount
    self.mtu = mtu
    self.offloads = offloads
    self.others = others
    frames = Guarded(
      NetworkFrames(
        headerByteCount: headerByteCount, maximumFrameByteCount: maximumFrameByteCount))
  }

  // MARK: The test's side

  /// Frames that arrive together, each with the header if there is one.
  func put(_ frames: [[UInt8]]) {
    state.withLock { state in
      state.incoming += frames
      state.isIdle = false
    }
    wakeUp.signal()
  }

  /// Whether no card has it, or the one that had it has stopped.
  var isStopped: Bool { state.withLock { $0.isStopped } }
  var sent: [[UInt8]] { state.withLock { $0.sent } }
  var sendCallCount: Int { state.withLock { $0.sendCallCount } }
  var toldOffloads: NetworkOffloads { state.withLock { $0.offloads } }
  var toldPairCount: Int { state.withLock { $0.pairCount } }
  /// Whether the card waits for frames, and has no others in its hands.
  var isIdle: Bool { state.withLock { $0.isIdle } }
  /// Frames that were put in and not handed over yet.
  var incomingCount: Int { state.withLock { $0.incoming.count } }

  /// What the card has sent since the last call, when there are so many.
  func takeSent(_ count: Int) throws -> [[UInt8]] {
    try waitUntil { state.withLock { $0.sent.count >= count } }
    return state.withLock { state in
      defer { state.sent = [] }
      return state.sent
    }
  }

  func setLink(_ hasLink: Bool) {
    state.withLock { state in
      state.hasLink = hasLink
      state.linkChanged = true
    }
    wakeUp.signal()
  }

  // MARK: The card's side

  func setReceiveOffloads(_ offloads: NetworkOffloads) {
    state.withLock { $0.offloads = offloads }
  }

  var queuePairs: [any NetworkQueuePair] { [self] + others }

  func setQueuePairCount(_ count: Int) {
    state.withLock { $0.pairCount = count }
  }

  var hasLink: Bool { state.withLock { $0.hasLink } }

  func start() {
    state.withLock { state in
      state.isStopped = false
      state.pairCount = 1
    }
    for other in others { other.start() }
  }

  func stop() {
    state.withLock { $0.isStopped = true }
    wakeUp.signal()
    for other in others { other.stop() }
  }

  func send(_ frames: inout NetworkFrames) {
    var taken: [[UInt8]] = []
    while !frames.isEmpty {
      let bytes = frames.withFirst { frame in
        (0..<frame.byteCount).map { frame.loadLE(at: $0, as: UInt8.self) }
      }
      taken.append(bytes ?? [])
      frames.removeFirst()
    }
    state.withLock { [taken] state in
      state.sent += taken
      state.sendCallCount += 1
    }
  }

  func receive(_ take: (inout NetworkFrames) -> Void) -> NetworkReception {
    while true {
      if let reception = state.withLock({ Self.reception(&$0) }) { return reception }
      let hasFrames = frames.withLock { frames in
        while frames.hasRoom, let frame = state.withLock({ Self.popFirst(&$0) }) {
          append(frame, to: &frames)
        }
        guard !frames.isEmpty else { return false }
        take(&frames)
        return true
      }
      if hasFrames { return .frames }
      state.withLock { $0.isIdle = $0.incoming.isEmpty }
      wakeUp.wait()
    }
  }

  private func append(_ frame: [UInt8], to frames: inout NetworkFrames) {
    frames.begin()
    frames.withOpen { bytes in
      for index in 0..<headerByteCount {
        bytes.storeBytes(of: frame[index], toByteOffset: index, as: UInt8.self)
      }
    }
    // SAFETY: a byte is initialised and has no padding.
    unsafe frames.append(frame.span.bytes.extracting(headerByteCount..<frame.count))
    frames.finish()
  }

  private static func reception(_ state: inout State) -> NetworkReception? {
    if state.isStopped { return .stopped }
    guard state.linkChanged else { return nil }
    state.linkChanged = false
    return .linkChanged
  }

  private static func popFirst(_ state: inout State) -> [UInt8]? {
    state.incoming.isEmpty ? nil : state.incoming.removeFirst()
  }
}
