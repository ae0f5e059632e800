internal import DeviceKit
internal import Glibc
internal import HostSystem

/// One queue of a tap device: frames out and in by a descriptor of its own.
///
/// The kernel spreads the interface's frames over the queues that are attached, and keeps those of
/// one connection together. One queue is always attached and tells of the link; a queue that is
/// detached gets nothing, and its receiver sleeps. `send` and `receive` on one thread each, the
/// rest on any. Source: Linux, Documentation/networking/tuntap.rst §3.3.
final class TapQueuePair: NetworkQueuePair {
  /// A header of virtio 1: with the number of buffers.
  static let headerByteCount = 12
  /// Ethernet with a VLAN tag and as much as IP can say.
  static let frameByteCount = 18 + 65_535
  /// Frames that are read before the card gets them.
  private static let batchCount = 64

  private struct State: Sendable {
    var frames = NetworkFrames(
      headerByteCount: headerByteCount, maximumFrameByteCount: frameByteCount)
    /// Of a queue that is detached nothing is read: a kernel that refuses it would seem to have
    /// removed the device.
    var isAttached = true
  }

  private let device: TapDevice
  private let cable: NetworkCable
  /// The queue that is always attached; nil if this one is.
  private let first: TapQueuePair?
  /// Raised and cleared with the lock of `state` held: `isAttached` has changed.
  private let moved: Event
  private let state = Guarded(State())

  /// Takes a queue that is attached.
  ///
  /// - Parameter first: the queue that is always attached; nil for that one.
  /// - Throws: when the process has no more descriptors.
  init(
    _ device: consuming TapDevice, _ cable: NetworkCable, first: TapQueuePair?
  ) throws(Errno) {
    moved = try Event()
    self.device = device
    self.cable = cable
    self.first = first
  }

  /// Of the whole device.
  func setOffloads(_ bits: UInt) {
    device.setOffloads(bits)
  }

  /// Attaches the queue or detaches it. Not the first one.
  func setAttached(_ isAttached: Bool) {
    state.withLock { state in
      guard state.isAttached != isAttached else { return }
      // A device that was removed has no queues: attaching fails, and detaching is done.
      let isDone = (try? device.setAttached(isAttached)) != nil
      state.isAttached = isAttached && isDone
      // The kernel drops what it has of a queue that is detached, too.
      state.frames.removeAll()
      moved.raise()
    }
  }

  // MARK: Sending

  func send(_ frames: inout NetworkFrames) {
    var descriptor = device.file.rawValue
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
      case (_, Errno(EBADFD)):
        // A kernel that takes nothing of a queue that is detached: the first one takes what is
        // still to go out, with its own thread at work.
        if let other = first?.device.file.rawValue, descriptor != other {
          descriptor = other
          continue
        }
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
      if first == nil, cable.takeLinkChange() { return .linkChanged }
      if cable.hasNobody {
        state.withLock { _ in moved.clear() }
        wait(-1)
        continue
      }
      let (hasFrames, isAttached, error) = state.withLock { state -> (Bool, Bool, Errno) in
        moved.clear()
        guard state.isAttached else { return (false, false, Errno(0)) }
        let error = state.frames.isEmpty ? read(into: &state.frames) : Errno(0)
        if !cable.isPlugged { state.frames.removeAll() }
        guard !state.frames.isEmpty else { return (false, true, error) }
        state.frames.take(take, over: cable)
        return (true, true, error)
      }
      if hasFrames { return .frames }
      switch error {
      case _ where !isAttached: wait(-1)
      case Errno(0), Errno(EINTR): break
      case Errno(EAGAIN): wait(device.file.rawValue)
      default: cable.lose()
      }
    }
    return .stopped
  }

  /// Waits until a descriptor can be read, or there is something else to look at.
  private func wait(_ descriptor: Int32) {
    if first == nil {
      cable.waitToReceive(descriptor)
    } else {
      cable.waitToReceive(descriptor, or: moved)
    }
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
