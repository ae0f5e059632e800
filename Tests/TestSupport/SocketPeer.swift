internal import Glibc
import HostSystem

/// The other end of a socket in the file system; it waits, with no limit but the test's.
package final class SocketPeer {
  /// The program closed the connection, or does not listen.
  package struct Closed: Error, Equatable {}

  private let file: FileDescriptor

  /// Connects.
  package init(_ path: String) throws {
    do throws(Errno) {
      file = try UnixSocket.connected(to: Array(path.utf8))
    } catch {
      throw Closed()
    }
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
