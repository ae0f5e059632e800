/// One way for frames to the far end of a network card's cable, and one back.
///
/// One thread sends and another receives, at the same time; each may wait, until
/// `NetworkBackend.stop`.
public protocol NetworkQueuePair: AnyObject, Sendable {
  /// Sends all frames, in as few system calls as there can be, and waits where the far end takes
  /// them slowly. Takes them away, also those that are lost: when the far end is gone, or at
  /// `NetworkBackend.stop`.
  func send(_ frames: inout NetworkFrames)

  /// Waits for frames and hands them over. What `take` leaves there it gets again, at once, by the
  /// next call, before others.
  ///
  /// - Parameter take: runs on the calling thread; it may not wait, and calls nothing here.
  func receive(_ take: (inout NetworkFrames) -> Void) -> NetworkReception
}

/// The far end of a network card's cable.
///
/// It is a queue pair itself, with a thread that sends and one that receives. What else is here is
/// safe from any thread. It outlives the card: after a reset of the machine the next card starts it
/// again, and no frame is cut in two by that.
public protocol NetworkBackend: NetworkQueuePair {
  /// Bytes of a virtio-net header (virtio 1.2 §5.1.6) in front of each frame, both ways: 12 for a
  /// tap device, 0 for one that knows no offloads.
  var headerByteCount: Int { get }

  /// The longest frame either way without the header, in bytes, from the Ethernet header to the end
  /// of what it carries; with offloads, of what is still to be cut into frames.
  var maximumFrameByteCount: Int { get }

  /// The most bytes that an Ethernet frame carries there; nil if that is not known.
  var mtu: UInt16? { get }

  /// What the far end does for the card: it takes such frames, and may hand over such frames.
  var offloads: NetworkOffloads { get }

  /// Lets the far end hand over frames that `offloads` leave unfinished; none after `start`.
  /// Without effect where there are no offloads.
  func setReceiveOffloads(_ offloads: NetworkOffloads)

  /// All ways for frames, always as many and at least one: frames go and come by several at the
  /// same time, each with two threads of its own. The first one is the back-end itself, or does the
  /// same, and it alone tells of `linkChanged`. By default there is no other.
  var queuePairs: [any NetworkQueuePair] { get }

  /// Lets frames come by the first `count` queue pairs, from 1 to as many as there are; by the
  /// first alone after `start`. What came by others and was not handed over may be lost; what is
  /// sent by them goes out. By default nothing has to be done.
  func setQueuePairCount(_ count: Int)

  /// Whether there is somebody at the far end. One that has gone does not come back.
  var hasLink: Bool { get }

  /// Opens the way for threads that send and receive, of which there are none yet.
  func start()

  /// Ends every wait, now and from now on. May be called again.
  func stop()
}

extension NetworkBackend {
  /// The back-end alone.
  public var queuePairs: [any NetworkQueuePair] { [self] }

  /// Does nothing.
  public func setQueuePairCount(_ count: Int) {}
}

/// Why `NetworkQueuePair.receive` returned.
public enum NetworkReception: Sendable {
  /// Frames were handed over.
  case frames
  /// `hasLink` has changed. Once for each change.
  case linkChanged
  /// `stop` was called.
  case stopped
}

/// Work on a frame that its sender leaves to the other side.
public struct NetworkOffloads: OptionSet, Hashable, Sendable {
  public let rawValue: UInt8

  public init(rawValue: UInt8) {
    self.rawValue = rawValue
  }

  /// Checksums of TCP and UDP (VIRTIO_NET_HDR_F_NEEDS_CSUM, TUN_F_CSUM).
  public static let checksum = NetworkOffloads(rawValue: 1 << 0)
  /// Cutting TCP over IPv4 (VIRTIO_NET_HDR_GSO_TCPV4, TUN_F_TSO4); with `checksum`.
  public static let tcp4 = NetworkOffloads(rawValue: 1 << 1)
  /// Cutting TCP over IPv6 (VIRTIO_NET_HDR_GSO_TCPV6, TUN_F_TSO6); with `checksum`.
  public static let tcp6 = NetworkOffloads(rawValue: 1 << 2)
  /// Cutting TCP with ECN (VIRTIO_NET_HDR_GSO_ECN, TUN_F_TSO_ECN); with one of the two.
  public static let ecn = NetworkOffloads(rawValue: 1 << 3)
}
