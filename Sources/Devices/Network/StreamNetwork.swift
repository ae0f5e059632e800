public import DeviceKit
internal import Glibc
package import HostSystem
internal import Synchronization

/// The far end behind a connected stream socket, each frame behind its length in 4 bytes,
/// big-endian: what passt speaks, and QEMU's `-netdev stream`.
///
/// A peer that is slow makes the sender wait; one that is gone takes the link down. Any thread.
public final class StreamNetwork: NetworkBackend {
  /// What is sent at once, in whole frames. The kernel puts so much of a UNIX socket's stream into
  /// one piece: passt of 2023 loses the stream if it finds a length without its frame behind it,
  /// and could between two pieces.
  static let writeByteCount = 32 * 1024
  /// What passt takes: an Ethernet frame with as much as IP can say.
  private static let frameByteCount = 65_535

  private let socket: FileDescriptor
  private let stopped: Event
  private let isGone = Atomic(false)
  private let isPluggedIn = Atomic(true)
  /// Raised and cleared with its lock held: the thread that receives has to look at the cable.
  private let moved: Event
  /// Whether the card was last told of a link.
  private let toldLink = Guarded(true)
  private let received: Guarded<NetworkFrames>
  /// What is left of a frame that was cut in two.
  private let unsent = Guarded<[UInt8]>([])
  private let onGone: @Sendable () -> Void
  private let sentFrames = Atomic<UInt64>(0)
  private let sentBytes = Atomic<UInt64>(0)
  private let receivedFrames = Atomic<UInt64>(0)
  private let receivedBytes = Atomic<UInt64>(0)

  public let mtu: UInt16?

  /// Takes over a connected stream socket, which is closed with this object.
  ///
  /// - Parameters:
  ///   - descriptor: the socket.
  ///   - mtu: what the peer takes, if that is known.
  ///   - onGone: called once, on the thread that receives, when the peer has gone.
  /// - Throws: when the process has no more descriptors.
  package init(
    taking descriptor: Int32, mtu: UInt16? = nil, onGone: @escaping @Sendable () -> Void = {}
  ) throws(Errno) {
    let socket = FileDescriptor(taking: descriptor)
    stopped = try Event()
    moved = try Event()
    self.socket = socket
    self.mtu = mtu
    self.onGone = onGone
    received = Guarded(
      NetworkFrames(headerByteCount: 0, maximumFrameByteCount: Self.frameByteCount))
  }

  public var headerByteCount: Int { 0 }
  public var maximumFrameByteCount: Int { Self.frameByteCount }
  public var offloads: NetworkOffloads { [] }
  public func setReceiveOffloads(_ offloads: NetworkOffloads) {}

  public var hasLink: Bool {
    isPluggedIn.load(ordering: .acquiring) && !isGone.load(ordering: .acquiring)
  }

  /// Whether the host has the cable plugged in. While it is not, the link is down and frames are
  /// lost, both ways. It stays so for the card that comes after a reset.
  public var isPlugged: Bool {
    get { isPluggedIn.load(ordering: .acquiring) }
    set {
      toldLink.withLock { _ in
        isPluggedIn.store(newValue, ordering: .releasing)
        moved.raise()
      }
    }
  }

  /// What went over the cable.
  public struct Counts: Hashable, Sendable {
    /// Frames that the far end took.
    public var sentFrames: UInt64 = 0
    /// Bytes of them.
    public var sentBytes: UInt64 = 0
    /// Frames that came for the card, whatever it did with them.
    public var receivedFrames: UInt64 = 0
    /// Bytes of them.
    public var receivedBytes: UInt64 = 0
  }

  /// So far.
  public var counts: Counts {
    Counts(
      sentFrames: sentFrames.load(ordering: .relaxed),
      sentBytes: sentBytes.load(ordering: .relaxed),
      receivedFrames: receivedFrames.load(ordering: .relaxed),
      receivedBytes: receivedBytes.load(ordering: .relaxed))
  }

  /// Adds frames that lie in a stream of `byteCount` bytes, each behind its length.
  private static func count(
    _ frameCount: Int, _ byteCount: Int, _ frames: borrowing Atomic<UInt64>,
    _ bytes: borrowing Atomic<UInt64>
  ) {
    frames.add(UInt64(frameCount), ordering: .relaxed)
    bytes.add(UInt64(max(byteCount - 4 * frameCount, 0)), ordering: .relaxed)
  }

  public func start() {
    stopped.clear()
  }

  public func stop() {
    stopped.raise()
  }

  // MARK: Sending

  public func send(_ frames: inout NetworkFrames) {
    unsent.withLock { unsent in
      if !unsent.isEmpty {
        let count = unsafe send(unsent.span.bytes)
        unsent.removeFirst(count)
        guard unsent.isEmpty else { return }
      }
      // What was begun goes out in any case, or the stream would be lost.
      guard isPlugged else { return }
      while case let count = frames.byteCount(within: Self.writeByteCount), count > 0 {
        let sent = frames.withStream(byteCount: count) { send($0) }
        guard sent == count else {
          unsent = Self.rest(of: &frames, after: sent)
          return
        }
        let frameCount = frames.frameCount(in: count)
        frames.removeStream(byteCount: count)
        Self.count(frameCount, count, sentFrames, sentBytes)
      }
    }
    frames.removeAll()
  }

  /// Sends all bytes, unless it is stopped before or the peer has gone.
  ///
  /// - Returns: how many were sent.
  private func send(_ bytes: RawSpan) -> Int {
    var done = 0
    while done < bytes.byteCount, !stopped.isRaised, !isGone.load(ordering: .acquiring) {
      // SAFETY: the bytes live for the call, which reads as many as it is given.
      let count = unsafe bytes.extracting(done..<bytes.byteCount).withUnsafeBytes {
        unsafe Glibc.send(
          socket.rawValue, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
      }
      let error = Errno.current
      switch (count, error) {
      case (0..., _): done += count
      case (_, Errno(EINTR)): break
      case (_, Errno(EAGAIN)): _ = stopped.wait(for: POLLOUT, on: socket.rawValue)
      // The receiving thread finds that the peer has gone.
      default: return done
      }
    }
    return done
  }

  /// What is left of the frame of which some bytes were sent; nothing of those that were not begun.
  private static func rest(of frames: inout NetworkFrames, after sent: Int) -> [UInt8] {
    guard sent > 0 else { return [] }
    var sent = sent
    let whole = frames.byteCount(within: sent)
    if whole <= sent {
      frames.removeStream(byteCount: whole)
      sent -= whole
    }
    guard sent > 0 else { return [] }
    return frames.withStream(byteCount: frames.byteCount(within: 1)) { frame in
      // SAFETY: bytes are copied while they are lent.
      unsafe frame.extracting(sent..<frame.byteCount).withUnsafeBytes { unsafe Array($0) }
    }
  }

  // MARK: Receiving

  public func receive(_ take: (inout NetworkFrames) -> Void) -> NetworkReception {
    while !stopped.isRaised {
      if takeLinkChange() { return .linkChanged }
      if isGone.load(ordering: .acquiring) {
        wait(for: -1)
        continue
      }
      let (count, error) = received.withLock { frames -> (Int, Errno) in
        if frames.isEmpty {
          let count = unsafe frames.fill { buffer in
            // SAFETY: the buffer lives for the call, which writes no more than it has.
            unsafe recv(
              socket.rawValue, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
          }
          let error = Errno.current
          guard count > 0 else { return (count, error) }
        }
        if !isPlugged { frames.removeAll() }
        guard !frames.isEmpty else { return (1, Errno(0)) }
        let before = (frames.frameCount(in: frames.byteCount), frames.byteCount)
        take(&frames)
        let left = (frames.frameCount(in: frames.byteCount), frames.byteCount)
        Self.count(before.0 - left.0, before.1 - left.1, receivedFrames, receivedBytes)
        return (.max, Errno(0))
      }
      switch (count, error) {
      case (.max, _): return .frames
      case (1..., _), (_, Errno(EINTR)): break
      case (..<0, Errno(EAGAIN)): wait(for: socket.rawValue)
      default:
        isGone.store(true, ordering: .releasing)
        onGone()
      }
    }
    return .stopped
  }

  /// Whether the link is another one than the card knows of, which it is told by this.
  private func takeLinkChange() -> Bool {
    toldLink.withLock { toldLink in
      moved.clear()
      defer { toldLink = hasLink }
      return toldLink != hasLink
    }
  }

  /// Waits until a descriptor can be read, it is stopped, or the cable was moved.
  private func wait(for descriptor: Int32) {
    var set: [3 of pollfd] = [
      pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
      pollfd(fd: stopped.descriptor, events: Int16(POLLIN), revents: 0),
      pollfd(fd: moved.descriptor, events: Int16(POLLIN), revents: 0),
    ]
    var elements = set.mutableSpan
    // SAFETY: the array lives for the call, which is given its true length. Where it fails, the
    // caller looks once more.
    _ = unsafe elements.withUnsafeMutableBufferPointer {
      unsafe poll($0.baseAddress, nfds_t($0.count), -1)
    }
  }
}
