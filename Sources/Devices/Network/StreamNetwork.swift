public import DeviceKit
internal import Glibc
package import HostSystem
internal import Synchronization

/// The far end behind a connected stream socket, each frame behind its length in 4 bytes,
/// big-endian: what passt speaks, and QEMU's `-netdev stream`.
///
/// A peer that is slow makes the sender wait; one that is gone takes the link down. Any thread.
public final class StreamNetwork: PluggableNetwork {
  /// What is sent at once, in whole frames. The kernel puts so much of a UNIX socket's stream into
  /// one piece: passt of 2023 loses the stream if it finds a length without its frame behind it,
  /// and could between two pieces.
  static let writeByteCount = 32 * 1024
  /// What passt takes: an Ethernet frame with as much as IP can say.
  private static let frameByteCount = 65_535

  private let socket: FileDescriptor
  private let received: Guarded<NetworkFrames>
  /// Whether frames have come since the receiving thread last let others run. Of that thread.
  private let isBusy = Atomic(false)
  /// What is left of a frame that was cut in two.
  private let unsent = Guarded<[UInt8]>([])
  public let cable: NetworkCable
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
    cable = try NetworkCable(onGone: onGone)
    self.socket = socket
    self.mtu = mtu
    received = Guarded(
      NetworkFrames(headerByteCount: 0, maximumFrameByteCount: Self.frameByteCount))
  }

  public var headerByteCount: Int { 0 }
  public var maximumFrameByteCount: Int { Self.frameByteCount }
  public var offloads: NetworkOffloads { [] }
  public func setReceiveOffloads(_ offloads: NetworkOffloads) {}

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
        cable.countSent(frames: frameCount, bytes: count - 4 * frameCount)
      }
    }
    frames.removeAll()
  }

  /// Sends all bytes, unless it is stopped before or the peer has gone.
  ///
  /// - Returns: how many were sent.
  private func send(_ bytes: RawSpan) -> Int {
    var done = 0
    while done < bytes.byteCount, !cable.isStopped, !cable.hasNobody {
      // SAFETY: the bytes live for the call, which reads as many as it is given.
      let count = unsafe bytes.extracting(done..<bytes.byteCount).withUnsafeBytes {
        unsafe Glibc.send(
          socket.rawValue, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
      }
      let error = Errno.current
      switch (count, error) {
      case (0..., _): done += count
      case (_, Errno(EINTR)): break
      case (_, Errno(EAGAIN)): cable.waitToSend(socket.rawValue)
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
    while !cable.isStopped {
      if cable.takeLinkChange() { return .linkChanged }
      if cable.hasNobody {
        cable.waitToReceive(-1)
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
        frames.take(take, over: cable)
        isBusy.store(true, ordering: .relaxed)
        return (.max, Errno(0))
      }
      switch (count, error) {
      case (.max, _): return .frames
      case (1..., _), (_, Errno(EINTR)): break
      case (..<0, Errno(EAGAIN)):
        // A peer on the same processor was stopped by our waking up, in the middle of what it
        // sends: with the rest of that the next look finds more, and nobody has to wake up for it.
        if isBusy.exchange(false, ordering: .relaxed) {
          sched_yield()
        } else {
          cable.waitToReceive(socket.rawValue)
        }
      default: cable.lose()
      }
    }
    return .stopped
  }
}

extension NetworkFrames {
  /// Has a card take frames, and counts those that it took.
  mutating func take(_ take: (inout NetworkFrames) -> Void, over cable: NetworkCable) {
    let before = (count: frameCount(in: byteCount), byteCount: byteCount)
    take(&self)
    let taken = before.count - frameCount(in: byteCount)
    cable.countReceived(
      frames: taken,
      bytes: before.byteCount - byteCount - taken * (Self.prefixByteCount + headerByteCount))
  }
}
