public import DeviceKit
internal import Glibc
package import HostSystem
internal import Synchronization

/// A far end whose cable the host can pull and plug in.
public protocol PluggableNetwork: NetworkBackend {
  var cable: NetworkCable { get }
}

extension PluggableNetwork {
  public var hasLink: Bool { cable.hasLink }
  public func start() { cable.open() }
  public func stop() { cable.close() }

  /// Whether the host has the cable plugged in. While it is not, the link is down and frames are
  /// lost, both ways. It stays so for the card that comes after a reset.
  public var isPlugged: Bool {
    get { cable.isPlugged }
    set { cable.isPlugged = newValue }
  }

  /// What went over the cable so far.
  public var counts: NetworkCable.Counts { cable.counts }
}

/// Between a card and its far end: whether it is plugged in, whether somebody is there, and what
/// went over it. Any thread. Of several threads that receive, one looks for changes of the link.
public final class NetworkCable: Sendable {
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

  private let stopped: Event
  /// Raised and cleared with the lock of `toldLink` held: the thread that looks for changes of the
  /// link has to look.
  private let moved: Event
  private let isGone = Atomic(false)
  private let isPluggedIn = Atomic(true)
  /// Whether the card was last told of a link.
  private let toldLink = Guarded(true)
  private let onGone: @Sendable () -> Void
  private let sentFrames = Atomic<UInt64>(0)
  private let sentBytes = Atomic<UInt64>(0)
  private let receivedFrames = Atomic<UInt64>(0)
  private let receivedBytes = Atomic<UInt64>(0)

  /// A cable that is plugged in.
  ///
  /// - Parameter onGone: called once, on a thread that receives, when the far end has gone.
  /// - Throws: when the process has no more descriptors.
  package init(onGone: @escaping @Sendable () -> Void) throws(Errno) {
    stopped = try Event()
    moved = try Event()
    self.onGone = onGone
  }

  /// Whether the host has it plugged in.
  public var isPlugged: Bool {
    get { isPluggedIn.load(ordering: .acquiring) }
    set {
      toldLink.withLock { _ in
        isPluggedIn.store(newValue, ordering: .releasing)
        moved.raise()
      }
    }
  }

  /// Whether it is plugged in, and somebody is at the far end.
  public var hasLink: Bool { isPlugged && !hasNobody }

  public var counts: Counts {
    Counts(
      sentFrames: sentFrames.load(ordering: .relaxed),
      sentBytes: sentBytes.load(ordering: .relaxed),
      receivedFrames: receivedFrames.load(ordering: .relaxed),
      receivedBytes: receivedBytes.load(ordering: .relaxed))
  }

  // MARK: For the threads that send and receive

  /// Whether the far end has gone, for good.
  var hasNobody: Bool { isGone.load(ordering: .acquiring) }
  /// Whether all of them are to end.
  var isStopped: Bool { stopped.isRaised }

  func open() { stopped.clear() }
  func close() { stopped.raise() }

  /// The far end has gone, as a thread that receives has found.
  func lose() {
    guard !isGone.exchange(true, ordering: .acquiringAndReleasing) else { return }
    // It may be another thread that looks for changes of the link.
    toldLink.withLock { _ in moved.raise() }
    onGone()
  }

  func countSent(frames: Int, bytes: Int) {
    sentFrames.add(UInt64(frames), ordering: .relaxed)
    sentBytes.add(UInt64(bytes), ordering: .relaxed)
  }

  func countReceived(frames: Int, bytes: Int) {
    receivedFrames.add(UInt64(frames), ordering: .relaxed)
    receivedBytes.add(UInt64(bytes), ordering: .relaxed)
  }

  /// Whether the link is another one than the card knows of, which it is told by this.
  func takeLinkChange() -> Bool {
    toldLink.withLock { toldLink in
      moved.clear()
      defer { toldLink = hasLink }
      return toldLink != hasLink
    }
  }

  /// Waits until something can be written to a descriptor, or it is stopped.
  func waitToSend(_ descriptor: Int32) {
    _ = stopped.wait(for: POLLOUT, on: descriptor)
  }

  /// Waits until a descriptor can be read, or it is stopped.
  ///
  /// - Parameters:
  ///   - descriptor: -1 for none.
  ///   - orForLink: also until `takeLinkChange` has to look, which one thread does.
  func waitToReceive(_ descriptor: Int32, orForLink: Bool = true) {
    _ = stopped.wait(for: POLLIN, on: descriptor, or: orForLink ? moved : nil)
  }
}
