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
  }

  let headerByteCount: Int
  let maximumFrameByteCount: Int
  let mtu: UInt16?
  let offloads: NetworkOffloads
  private let state = Guarded(State())
  private let wakeUp = TestSemaphore()
  private let frames: Guarded<NetworkFrames>

  init(
    headerByteCount: Int = 0, maximumFrameByteCount: Int = 1514, mtu: UInt16? = 1500,
    offloads: NetworkOffloads = []
  ) {
    self.headerByteCount = headerByteCount
    self.maximumFrameByteCount = maximumFrameByteCount
    self.mtu = mtu
    self.offloads = offloads
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

  var sent: [[UInt8]] { state.withLock { $0.sent } }
  var sendCallCount: Int { state.withLock { $0.sendCallCount } }
  var toldOffloads: NetworkOffloads { state.withLock { $0.offloads } }
  /// Whether the card waits for frames, and has no others in its hands.
  var isIdle: Bool { state.withLock { $0.isIdle } }
  /// Frames that were put in and not handed over yet.
  var incomingCount: Int { state.withLock { $0.incoming.count } }

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

  var hasLink: Bool { state.withLock { $0.hasLink } }

  func start() {
    state.withLock { $0.isStopped = false }
  }

  func stop() {
    state.withLock { $0.isStopped = true }
    wakeUp.signal()
  }

  func send(_ frames: inout NetworkFrames) {
    var taken: [[UInt8]] = []
    while !frames.isEmpty {
      let bytes = frames.withFirst { frame in
        (0..<frame.byteCount).map { unsafe frame.unsafeLoad(fromByteOffset: $0, as: UInt8.self) }
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
      let incoming: [[UInt8]]
      switch state.withLock({ Self.next(&$0) }) {
      case .over(let reception): return reception
      case .frames(let frames): incoming = frames
      }
      let hasFrames = frames.withLock { frames in
        for frame in incoming {
          frames.begin()
          let given = frame.dropFirst(headerByteCount)
          frames.withOpen { bytes in
            for index in 0..<headerByteCount {
              bytes.storeBytes(of: frame[index], toByteOffset: index, as: UInt8.self)
            }
          }
          frames.extend(byCount: given.count) { bytes in
            for (index, byte) in given.enumerated() {
              bytes.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
            }
          }
          frames.finish()
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

  private enum Next {
    case over(NetworkReception)
    case frames([[UInt8]])
  }

  private static func next(_ state: inout State) -> Next {
    if state.isStopped { return .over(.stopped) }
    if state.linkChanged {
      state.linkChanged = false
      return .over(.linkChanged)
    }
    defer { state.incoming = [] }
    return .frames(state.incoming)
  }
}
