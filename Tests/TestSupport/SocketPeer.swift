internal import Glibc
import HostSystem

/// The other end of a socket in the file system; it waits, with no limit but the test's.
package final class SocketPeer {
  /// The program closed the connection, or does not listen.
  package struct Closed: Error, Equatable {}

  private let file: FileDescriptor

  /// Connects.
  package init(_ path: String) throws {
    file = try FileDescriptor { socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    // SAFETY: the path is shorter than its place.
    unsafe withUnsafeMutableBytes(of: &address.sun_path) {
      unsafe $0.copyBytes(from: Array(path.utf8))
    }
    // SAFETY: a local's bytes, and their length.
    let result = unsafe withUnsafePointer(to: &address) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe connect(file.rawValue, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard result == 0 else { throw Closed() }
  }

  package func send(_ bytes: [UInt8]) throws {
    // SAFETY: the bytes, and their number.
    let count = unsafe bytes.withUnsafeBytes {
      unsafe Glibc.send(file.rawValue, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
    }
    guard count == bytes.count else { throw Closed() }
  }

  /// So many bytes.
  package func read(_ count: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    // SAFETY: the buffer, and its length.
    let received = unsafe bytes.withUnsafeMutableBytes {
      unsafe recv(file.rawValue, $0.baseAddress, count, Int32(MSG_WAITALL))
    }
    guard received == count else { throw Closed() }
    return bytes
  }
}
