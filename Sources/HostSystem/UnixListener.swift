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

  private static let type = Int32(
    SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
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

  /// Listens. The mask of new files is changed meanwhile, so no other thread makes files now.
  ///
  /// A socket file that nobody answers at, left over by a program that was killed, makes room.
  package init(_ path: [UInt8]) throws(Failure) {
    let address = try Self.system { () throws(Errno) in try UnixSocketAddress(path) }
    let file = try Self.system { () throws(Errno) in
      try FileDescriptor { socket(AF_UNIX, Self.type, 0) }
    }
    let mask = umask(0o177)
    defer { _ = umask(mask) }
    do throws(Errno) {
      try address.bind(file.rawValue)
    } catch {
      guard error == Errno(EADDRINUSE) else { throw .system(error) }
      guard Self.status(path).map({ $0.st_mode & S_IFMT == S_IFSOCK }) == true else {
        throw .isNoSocket
      }
      guard try Self.isLeftOver(address) else { throw .isInUse }
      _ = unsafe Self.withPath(path) { unsafe unlink($0) }
      try Self.system { () throws(Errno) in try address.bind(file.rawValue) }
    }
    identity = Self.identity(path)
    let result = listen(file.rawValue, Self.backlog)
    let error = Errno.current
    guard result == 0 else { throw .system(error) }
    self.file = file
    self.path = path
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
    _ = unsafe Self.withPath(path) { unsafe unlink($0) }
  }

  /// Whether nobody listens on a socket file.
  private static func isLeftOver(_ address: UnixSocketAddress) throws(Failure) -> Bool {
    let probe = try system { () throws(Errno) in
      try FileDescriptor { socket(AF_UNIX, type, 0) }
    }
    do throws(Errno) {
      try address.connect(probe.rawValue)
      return false
    } catch {
      // Anything else may be a server that is busy, or another user's.
      return error == Errno(ECONNREFUSED)
    }
  }

  private static func identity(_ path: [UInt8]) -> Identity? {
    status(path).map { Identity(device: $0.st_dev, number: $0.st_ino) }
  }

  /// Of the file itself, not of what a link leads to.
  private static func status(_ path: [UInt8]) -> stat? {
    var status = stat()
    // SAFETY: the structure lives for the call.
    let result = unsafe withPath(path) { unsafe lstat($0, &status) }
    return result == 0 ? status : nil
  }

  private static func withPath<R>(_ path: [UInt8], _ body: (UnsafePointer<CChar>) -> R) -> R {
    // SAFETY: terminated, and lent for the call.
    unsafe (path + [0]).withUnsafeBytes {
      unsafe body($0.baseAddress!.assumingMemoryBound(to: CChar.self))
    }
  }

  private static func system<R: ~Copyable>(
    _ body: () throws(Errno) -> R
  ) throws(Failure) -> R {
    do throws(Errno) {
      return try body()
    } catch {
      throw .system(error)
    }
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
