public import DeviceKit
internal import Glibc
internal import HostSystem

/// A tap device of this host as the far end: what the card sends comes out of the host's interface
/// of that name, which may be a port of a bridge.
///
/// Frames have virtio-net's header, so that the kernel adds up checksums and cuts TCP where that is
/// needed, and only there. A device that was made with `multi_queue` may have several queues here.
/// Any thread. Source: Linux, Documentation/networking/tuntap.rst.
public final class TapNetwork: PluggableNetwork {
  /// Why there is none; one line.
  public enum Failure: Error, Equatable, CustomStringConvertible {
    /// No interface has the name.
    case missing(name: String)
    /// The interface is no tap device.
    case otherKind(name: String)
    /// Another program has it, or a device of one queue has its reader.
    case inUse(name: String)
    /// It belongs to another user.
    case notAllowed(name: String)
    /// Something else; `reason` says what.
    case failed(name: String, reason: String)

    fileprivate init(_ name: String, _ failure: TapDevice.Failure) {
      self =
        switch (failure.step, failure.errno) {
        case (.lookUp, _): .missing(name: name)
        case (.setInterface, Errno(EINVAL)): .otherKind(name: name)
        case (.setInterface, Errno(EBUSY)): .inUse(name: name)
        case (.setInterface, Errno(EPERM)): .notAllowed(name: name)
        case (let step, let error): .failed(name: name, reason: "\(step.rawValue): \(error)")
        }
    }

    fileprivate init(_ name: String, noEvent error: Errno) {
      self = .failed(name: name, reason: "no event: \(error)")
    }

    public var description: String {
      let make = "make it: ip tuntap add"
      return switch self {
      case .missing(let name):
        "there is no network interface \(name); \(make) \(name) mode tap user $USER &&"
          + " ip link set \(name) up"
      case .otherKind(let name): "the network interface \(name) is no tap device"
      case .inUse(let name): "the tap device \(name) is in use by another program"
      case .notAllowed(let name):
        "the tap device \(name) belongs to another user; \(make) \(name) mode tap user $USER"
      case .failed(let name, let reason): "cannot use the tap device \(name): \(reason)"
      }
    }
  }

  /// The longest name of an interface, in bytes.
  public static let longestName = TapDevice.longestName

  /// The first one is always attached, and tells of the link.
  private let pairs: [TapQueuePair]
  public let cable: NetworkCable
  public let mtu: UInt16?

  /// Opens a device that is there: a persistent one of this user needs no privileges.
  ///
  /// - Parameters:
  ///   - name: of 1 to `longestName` bytes; others trap.
  ///   - queuePairCount: queues to open of a device that was made for several, at least 1; other
  ///     devices have one. The kernel has 256 for a device, for all programs together.
  ///   - onGone: called once, on a thread that receives, when the device was removed.
  public init(
    name: String, queuePairCount: Int = 1, onGone: @escaping @Sendable () -> Void = {}
  ) throws(Failure) {
    precondition((1...Self.longestName).contains(name.utf8.count), "the name '\(name)'")
    precondition(queuePairCount >= 1, "\(queuePairCount) queue pairs")
    do throws(Errno) {
      cable = try NetworkCable(onGone: onGone)
    } catch {
      throw Failure(name, noEvent: error)
    }
    mtu = TapDevice.mtu(of: name)
    let device = try Self.open(name)
    let count = device.isMultiQueue ? queuePairCount : 1
    var pairs = [TapQueuePair(device, cable, tellsOfLink: true)]
    while pairs.count < count {
      let pair = TapQueuePair(try Self.open(name), cable, tellsOfLink: false)
      // No frame is to come where nobody reads.
      pair.setAttached(false)
      pairs.append(pair)
    }
    self.pairs = pairs
  }

  private static func open(_ name: String) throws(Failure) -> TapDevice {
    do throws(TapDevice.Failure) {
      return try TapDevice(name: name, headerByteCount: Int32(TapQueuePair.headerByteCount))
    } catch {
      throw Failure(name, error)
    }
  }

  public var headerByteCount: Int { TapQueuePair.headerByteCount }
  public var maximumFrameByteCount: Int { TapQueuePair.frameByteCount }
  public var offloads: NetworkOffloads { [.checksum, .tcp4, .tcp6, .ecn] }

  public func setReceiveOffloads(_ offloads: NetworkOffloads) {
    // The same bits.
    pairs[0].setOffloads(UInt(offloads.rawValue))
  }

  public var queuePairs: [any NetworkQueuePair] { pairs }

  public func setQueuePairCount(_ count: Int) {
    for (index, pair) in pairs.enumerated().dropFirst() { pair.setAttached(index < count) }
  }

  public func start() {
    // The last card's driver may have asked for more.
    setReceiveOffloads([])
    setQueuePairCount(1)
    cable.open()
  }

  public func send(_ frames: inout NetworkFrames) {
    pairs[0].send(&frames)
  }

  public func receive(_ take: (inout NetworkFrames) -> Void) -> NetworkReception {
    pairs[0].receive(take)
  }
}
