internal import Glibc

/// A socket that listens at a path, for clients of the same user.
///
/// The file is made with mode 0600: there is no instant at which others could connect. Any thread
/// may use the descriptor, as long as the listener lives.
package final class UnixListener: Sendable {
  /// Why there is none.
  package enum Failure: Error, Equatable, CustomStringConvertible {
    /// Another program answers there.
    case isInUse
    /// A file that is no socket, which is not ours to remove.
    case isNoSocket
    case system(Errno)

    package var description: String {
      switch self {
      case .isInUse: "another program listens there; end it or choose another path"
      case .isNoSocket: "there is a file that is no socket; choose another path or remove it"
      case .system(let error): "\(error)"
      }
    }
  }

  /// Connections that wait to be accepted; the kernel takes as many as *net.core.somaxconn* says. A
  /// client that does not wait fails where there are more.
  private static let backlog: Int32 = 1024

  private let file: FileDescriptor
  private let path: [UInt8]
  private let identity: Identity?

  private struct Identity: Equatable {
    let device: dev_t
    let number: ino_t
  }

  /// Listens, as `UnixSocket.listening` says.
  package init(_ path: [UInt8]) throws(Failure) {
    do throws(Errno) {
      file = try UnixSocket.listening(at: path, backlog: Self.backlog)
    } catch Errno(EADDRINUSE) {
      throw UnixSocket.isSocket(path) ? .isInUse : .isNoSocket
    } catch {
      throw .system(error)
    }
    self.path = path
    identity = Self.identity(path)
  }

  package var descriptor: Int32 { file.rawValue }

  /// Takes the next connection, whose use never waits.
  ///
  /// - Throws: *EAGAIN* when there is none.
  package func accept() throws(Errno) -> FileDescriptor {
    try FileDescriptor(acceptedBy: file)
  }

  /// Removes the file, unless another one has its name by now.
  package func removeFile() {
    guard let identity, Self.identity(path) == identity else { return }
    _ = unsafe UnixSocket.withPath(path) { unsafe unlink($0) }
  }

  private static func identity(_ path: [UInt8]) -> Identity? {
    UnixSocket.status(path).map { Identity(device: $0.st_dev, number: $0.st_ino) }
  }
}

extension FileDescriptor {
  /// Which user has the other end of a connected socket of this host (*SO_PEERCRED*, unix(7)):
  /// as it was when it connected. Nil if the kernel does not say.
  package var peerUserID: UInt32? {
    // *struct ucred*, which the importer leaves out: process, user and group.
    var peer: [3 of UInt32] = [0, 0, 0]
    var count = socklen_t(MemoryLayout<[3 of UInt32]>.size)
    var span = peer.mutableSpan
    // SAFETY: three words, which live for the call, and their length.
    let result = unsafe span.withUnsafeMutableBufferPointer {
      unsafe getsockopt(rawValue, SOL_SOCKET, 17, $0.baseAddress, &count)
    }
    return result == 0 ? peer[1] : nil
  }
}
