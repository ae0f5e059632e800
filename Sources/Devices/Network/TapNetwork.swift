public import DeviceKit
internal import Glibc
internal import HostSystem

/// A tap device of this host as the far end: what the card sends comes out of the host's interface
/// of that name, which may be a port of a bridge.
///
/// Frames have virtio-net's header, so that the kernel adds up checksums and cuts TCP where that is
/// needed, and only there. Any thread. Source: Linux, Documentation/networking/tuntap.rst.
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
  /// A header of virtio 1: with the number of buffers.
  private static let headerByteCount = 12
  /// Ethernet with a VLAN tag and as much as IP can say.
  private static let frameByteCount = 18 + 65_535
  /// Frames that are read before the card gets them.
  private static let batchCount = 64

  private let device: TapDevice
  private let received: Guarded<NetworkFrames>
  public let cable: NetworkCable
  public let mtu: UInt16?

  /// Opens a device that is there: a persistent one of this user needs no privileges.
  ///
  /// - Parameters:
  ///   - name: of 1 to `longestName` bytes; others trap.
  ///   - onGone: called once, on the thread that receives, when the device was removed.
  public init(
    name: String, onGone: @escaping @Sendable () -> Void = {}
  ) throws(Failure) {
    precondition((1...Self.longestName).contains(name.utf8.count), "the name '\(name)'")
    do throws(TapDevice.Failure) {
      device = try TapDevice(name: name, headerByteCount: Int32(Self.headerByteCount))
    } catch {
      throw Failure(name, error)
    }
    do throws(Errno) {
      cable = try NetworkCable(onGone: onGone)
    } catch {
      throw .failed(name: name, reason: "no event: \(error)")
    }
    mtu = TapDevice.mtu(of: name)
    received = Guarded(
      NetworkFrames(
        headerByteCount: Self.headerByteCount, maximumFrameByteCount: Self.frameByteCount))
  }

  public var headerByteCount: Int { Self.headerByteCount }
  public var maximumFrameByteCount: Int { Self.frameByteCount }
  public var offloads: NetworkOffloads { [.checksum, .tcp4, .tcp6, .ecn] }

  public func setReceiveOffloads(_ offloads: NetworkOffloads) {
    // The same bits.
    device.setOffloads(UInt(offloads.rawValue))
  }

  public func start() {
    // The last card's driver may have asked for some.
    setReceiveOffloads([])
    cable.open()
  }

  // MARK: Sending

  public func send(_ frames: inout NetworkFrames) {
    while isPlugged, !cable.isStopped,
      let (count, error) = frames.withFirst({ frame -> (Int, Errno) in
        // SAFETY: the bytes live for the call, which reads as many as it is given.
        let count = unsafe frame.withUnsafeBytes {
          unsafe write(device.file.rawValue, $0.baseAddress, $0.count)
        }
        return (count, Errno.current)
      })
    {
      switch (count, error) {
      case (0..., _): cable.countSent(frames: 1, bytes: count - Self.headerByteCount)
      case (_, Errno(EINTR)): continue
      case (_, Errno(EAGAIN)):
        cable.waitToSend(device.file.rawValue)
        continue
      // The interface is down, or the frame is none: it is lost, as on a cable.
      default: break
      }
      frames.removeFirst()
    }
    frames.removeAll()
  }

  // MARK: Receiving

  public func receive(_ take: (inout NetworkFrames) -> Void) -> NetworkReception {
    while !cable.isStopped {
      if cable.takeLinkChange() { return .linkChanged }
      if cable.hasNobody {
        cable.waitToReceive(-1)
        continue
      }
      let (hasFrames, error) = received.withLock { frames -> (Bool, Errno) in
        let error = frames.isEmpty ? read(into: &frames) : Errno(0)
        if !isPlugged { frames.removeAll() }
        guard !frames.isEmpty else { return (false, error) }
        frames.take(take, over: cable)
        return (true, error)
      }
      if hasFrames { return .frames }
      switch error {
      case Errno(0), Errno(EINTR): break
      case Errno(EAGAIN): cable.waitToReceive(device.file.rawValue)
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
