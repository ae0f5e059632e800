internal import DeviceKit
internal import Glibc
internal import HostSystem

/// One queue of a tap device: frames out and in by a descriptor of its own.
///
/// The kernel spreads the interface's frames over the queues that are attached, and keeps those of
/// one connection together. Nothing comes to a queue that is detached, whose receiver sleeps; what
/// is written to it still goes out. `send` and `receive` on one thread each, the rest on any.
/// Source: Linux, Documentation/networking/tuntap.rst §3.3; drivers/net/tun.c, where a detached
/// queue keeps its device.
final class TapQueuePair: NetworkQueuePair {
  /// A header of virtio 1: with the number of buffers.
  static let headerByteCount = 12
  /// Ethernet with a VLAN tag and as much as IP can say.
  static let frameByteCount = 18 + 65_535
  /// Frames that are read before the card gets them.
  private static let batchCount = 64

  private let device: TapDevice
  private let cable: NetworkCable
  /// Whether the card learns of the link by this queue, which one of them is for.
  private let tellsOfLink: Bool
  private let incoming = Guarded(
    NetworkFrames(headerByteCount: headerByteCount, maximumFrameByteCount: frameByteCount))

  /// Takes a queue that is attached.
  init(_ device: consuming TapDevice, _ cable: NetworkCable, tellsOfLink: Bool) {
    self.device = device
    self.cable = cable
    self.tellsOfLink = tellsOfLink
  }

  /// Of the whole device.
  func setOffloads(_ bits: UInt) {
    device.setOffloads(bits)
  }

  /// Attaches the queue or detaches it.
  func setAttached(_ isAttached: Bool) {
    // The kernel refuses what is so already. A device that was removed has no queues.
    try? device.setAttached(isAttached)
  }

  // MARK: Sending

  func send(_ frames: inout NetworkFrames) {
    let descriptor = device.file.rawValue
    while cable.isPlugged, !cable.isStopped,
      let (count, error) = frames.withFirst({ frame -> (Int, Errno) in
        // SAFETY: the bytes live for the call, which reads as many as it is given.
        let count = unsafe frame.withUnsafeBytes {
          unsafe write(descriptor, $0.baseAddress, $0.count)
        }
        return (count, Errno.current)
      })
    {
      switch (count, error) {
      case (0..., _): cable.countSent(frames: 1, bytes: count - Self.headerByteCount)
      case (_, Errno(EINTR)): continue
      case (_, Errno(EAGAIN)):
        cable.waitToSend(descriptor)
        continue
      // The interface is down, or the frame is none: it is lost, as on a cable.
      default: break
      }
      frames.removeFirst()
    }
    frames.removeAll()
  }

  // MARK: Receiving

  func receive(_ take: (inout NetworkFrames) -> Void) -> NetworkReception {
    while !cable.isStopped {
      if tellsOfLink, cable.takeLinkChange() { return .linkChanged }
      if cable.hasNobody {
        cable.waitToReceive(-1, orForLink: tellsOfLink)
        continue
      }
      let (hasFrames, error) = incoming.withLock { frames -> (Bool, Errno) in
        let error = frames.isEmpty ? read(into: &frames) : Errno(0)
        if !cable.isPlugged { frames.removeAll() }
        guard !frames.isEmpty else { return (false, error) }
        frames.take(take, over: cable)
        return (true, error)
      }
      if hasFrames { return .frames }
      switch error {
      case Errno(0), Errno(EINTR): break
      case Errno(EAGAIN): cable.waitToReceive(device.file.rawValue, orForLink: tellsOfLink)
      default: cable.lose()
      }
    }
    return .stopped
  }

  /// Reads what is there, but a batch at most.
  ///
  /// - Returns: why it ended; 0 for a batch.
  private func read(into frames: inout NetworkFrames) -> Errno {
    for _ in 0..<Self.batchCount where frames.hasRoom {
      let count = unsafe frames.add { buffer in
        // SAFETY: the buffer lives for the call, which writes no more than it has.
        unsafe Glibc.read(device.file.rawValue, buffer.baseAddress, buffer.count)
      }
      let error = Errno.current
      guard count > 0 else { return count < 0 ? error : Errno(0) }
    }
    return Errno(0)
  }
}
