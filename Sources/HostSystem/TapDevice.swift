internal import CLinux
internal import Glibc

/// An open queue of a tap device: frames of an interface of this host, one for each read(2) and
/// write(2), each behind a virtio-net header. Neither waits. Any thread.
///
/// Source: Linux, Documentation/networking/tuntap.rst.
package struct TapDevice: ~Copyable, Sendable {
  /// Which step failed, and why.
  package struct Failure: Error, Equatable {
    package enum Step: String, Sendable {
      /// No interface has the name.
      case lookUp = "if_nametoindex"
      case open = "open(/dev/net/tun)"
      case setInterface = "TUNSETIFF"
      case setHeaderByteCount = "TUNSETVNETHDRSZ"
    }

    package let step: Step
    package let errno: Errno
  }

  /// The longest name of an interface, in bytes.
  package static let longestName = 15
  /// Bytes of an interface request (struct ifreq): the name, then what it is about.
  private static let requestByteCount = 40
  private static let valueOffset = 16

  package let file: FileDescriptor
  /// Whether the device was made for several queues (IFF_MULTI_QUEUE), so that it can be opened
  /// again.
  package let isMultiQueue: Bool

  /// Opens a device that is there: a persistent one of this user needs no privileges. Of one that
  /// was made for several queues, a further queue, which is attached.
  ///
  /// - Parameters:
  ///   - name: of 1 to `longestName` bytes.
  ///   - headerByteCount: of the virtio-net header.
  package init(name: String, headerByteCount: Int32) throws(Failure) {
    guard unsafe if_nametoindex(name) != 0 else {
      throw Failure(step: .lookUp, errno: Errno.current)
    }
    let file: FileDescriptor
    do throws(Errno) {
      file = try FileDescriptor { unsafe open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC) }
    } catch {
      throw Failure(step: .open, errno: error)
    }
    let flags = CLINUX_IFF_TAP | CLINUX_IFF_NO_PI | CLINUX_IFF_VNET_HDR
    var isMultiQueue = false
    do throws(Errno) {
      do throws(Errno) {
        try Self.request(CLINUX_TUNSETIFF, file, name, flags)
      } catch Errno(EINVAL) {
        // The flag has to be what the device was made with.
        try Self.request(CLINUX_TUNSETIFF, file, name, flags | CLINUX_IFF_MULTI_QUEUE)
        isMultiQueue = true
      }
    } catch {
      throw Failure(step: .setInterface, errno: error)
    }
    var count = headerByteCount
    // SAFETY: an integer that lives for the call.
    let result = unsafe clinux_ioctl_pointer(file.rawValue, CLINUX_TUNSETVNETHDRSZ, &count)
    let error = Errno.current
    guard result == 0 else { throw Failure(step: .setHeaderByteCount, errno: error) }
    self.file = file
    self.isMultiQueue = isMultiQueue
  }

  private static func request(
    _ number: UInt, _ file: borrowing FileDescriptor, _ name: String, _ flags: UInt16
  ) throws(Errno) {
    var request = interfaceRequest(name)
    request[valueOffset] = UInt8(truncatingIfNeeded: flags)
    request[valueOffset + 1] = UInt8(truncatingIfNeeded: flags >> 8)
    // SAFETY: the structure has its length and lives for the call.
    let result = unsafe clinux_ioctl_pointer(file.rawValue, number, &request)
    let error = Errno.current
    guard result == 0 else { throw error }
  }

  private static func interfaceRequest(_ name: String) -> [UInt8] {
    Array(name.utf8) + [UInt8](repeating: 0, count: requestByteCount - name.utf8.count)
  }

  /// Attaches this queue of a device that has several, or detaches it (TUNSETQUEUE): the kernel
  /// spreads frames over the queues that are attached. What waits in one that is detached is lost;
  /// there is nothing to read then (EAGAIN), and what is written still goes out (drivers/net/tun.c,
  /// since Linux 3.8).
  ///
  /// - Throws: EINVAL if it is as it should be already, or the device was removed.
  package func setAttached(_ isAttached: Bool) throws(Errno) {
    try Self.request(
      CLINUX_TUNSETQUEUE, file, "",
      isAttached ? CLINUX_IFF_ATTACH_QUEUE : CLINUX_IFF_DETACH_QUEUE)
  }

  /// What the device may hand over unfinished, by the kernel's bits (TUN_F_CSUM and so on).
  ///
  /// A kernel that does not know one hands over finished frames, which every driver takes.
  package func setOffloads(_ bits: UInt) {
    _ = clinux_ioctl_value(file.rawValue, CLINUX_TUNSETOFFLOAD, bits)
  }

  /// The most bytes that a frame of an interface carries; nil if the kernel does not tell.
  package static func mtu(of name: String) -> UInt16? {
    let type = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    guard name.utf8.count <= longestName,
      let socket = try? FileDescriptor({ socket(AF_UNIX, type, 0) })
    else { return nil }
    var request = interfaceRequest(name)
    // SAFETY: the structure has its length and lives for the call.
    let result = unsafe clinux_ioctl_pointer(socket.rawValue, CLINUX_SIOCGIFMTU, &request)
    guard result == 0 else { return nil }
    let value = (0..<4).reduce(UInt32(0)) {
      $0 | UInt32(request[valueOffset + $1]) << (8 * UInt32($1))
    }
    return UInt16(exactly: value)
  }
}
