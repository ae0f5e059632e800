internal import Glibc
internal import HostSystem

/// A descriptor that a client has sent over a control socket (*SCM_RIGHTS*, unix(7)): one open file
/// more of this process, closed with the last owner.
final class SentDescriptor: Sendable {
  private let file: FileDescriptor

  init(_ file: consuming FileDescriptor) {
    self.file = file
  }

  var descriptor: Int32 { file.rawValue }

  // *struct cmsghdr*: a length of 8 bytes, a level and a type of 4 each, then the descriptors.
  private static let headerByteCount = 16
  /// Room for more than one is needed only to see, and close, the others.
  private static let limit = 8

  /// Sends bytes, at least one, and a descriptor with them; as send(2).
  static func send(_ descriptor: Int32, with bytes: [UInt8], over socket: Int32) -> Int {
    var control: [UInt64] = [
      UInt64(headerByteCount + 4), UInt64(UInt32(SOL_SOCKET)) | UInt64(rights) << 32,
      UInt64(UInt32(bitPattern: descriptor)),
    ]
    var bytes = bytes
    return unsafe exchange(&bytes, &control) { message in
      unsafe sendmsg(socket, message, Int32(MSG_NOSIGNAL))
    }
  }

  /// Receives bytes, and what has come with them; as recv(2).
  ///
  /// - Parameter last: the last descriptor, if there were any; others are closed.
  static func receive(
    _ bytes: inout [UInt8], from socket: Int32, _ last: inout SentDescriptor?
  ) -> Int {
    var control = [UInt64](repeating: 0, count: 2 + limit / 2)
    var controlByteCount = control.count * 8
    let result = unsafe exchange(&bytes, &control) { message in
      let result = unsafe recvmsg(socket, message, closeOnExec)
      controlByteCount = unsafe message.pointee.msg_controllen
      return result
    }
    guard result >= 0, controlByteCount >= headerByteCount + 4,
      control[1] == UInt64(UInt32(SOL_SOCKET)) | UInt64(rights) << 32
    else { return result }
    let end = min(Int(clamping: control[0]), controlByteCount, control.count * 8)
    for place in stride(from: headerByteCount, to: end - 3, by: 4) {
      let word = control[place / 8] >> (place % 8 == 0 ? 0 : 32)
      last = SentDescriptor(
        FileDescriptor(taking: Int32(bitPattern: UInt32(truncatingIfNeeded: word))))
    }
    return result
  }

  /// Has `call` send or fill both.
  private static func exchange(
    _ bytes: inout [UInt8], _ control: inout [UInt64],
    _ call: (UnsafeMutablePointer<msghdr>) -> Int
  ) -> Int {
    // SAFETY: both arrays live for the call, with their lengths.
    return unsafe bytes.withUnsafeMutableBytes { bytes in
      unsafe control.withUnsafeMutableBytes { control in
        var part = unsafe iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
        return unsafe withUnsafeMutablePointer(to: &part) { part in
          var message = unsafe msghdr()
          unsafe message.msg_iov = part
          unsafe message.msg_iovlen = 1
          unsafe message.msg_control = control.baseAddress
          unsafe message.msg_controllen = control.count
          return unsafe call(&message)
        }
      }
    }
  }

  /// *SCM_RIGHTS*.
  private static let rights: UInt32 = 1
  /// *MSG_CMSG_CLOEXEC*.
  private static let closeOnExec: Int32 = 0x4000_0000
}
