internal import Glibc

/// Where a socket of this host is in the file system (unix(7)). A thread-safe value.
package struct UnixSocketAddress: Sendable {
  private var address = sockaddr_un()

  /// - Parameter path: as the system takes it, without a NUL.
  /// - Throws: *ENAMETOOLONG* for one that no address has room for.
  package init(_ path: [UInt8]) throws(Errno) {
    address.sun_family = sa_family_t(AF_UNIX)
    guard path.count < MemoryLayout.size(ofValue: address.sun_path), !path.contains(0) else {
      throw Errno(ENAMETOOLONG)
    }
    // SAFETY: the path is shorter than its place, which is zero behind it.
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path) }
  }

  /// Gives a socket this address.
  package func bind(_ socket: Int32) throws(Errno) {
    try unsafe call { unsafe Glibc.bind(socket, $0, $1) }
  }

  /// Connects a socket to the one that listens there.
  package func connect(_ socket: Int32) throws(Errno) {
    try unsafe call { unsafe Glibc.connect(socket, $0, $1) }
  }

  private func call(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) throws(Errno) {
    // SAFETY: a socket address of its own family, which lives for the call, and its length.
    let result = unsafe withUnsafePointer(to: address) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    let error = Errno.current
    if result != 0 { throw error }
  }
}

/// Stream sockets of this host, closed on exec.
package enum UnixSocket {
  private static let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)

  /// Two that are connected to each other; both become the caller's to close.
  package static func pair() throws(Errno) -> (Int32, Int32) {
    var ends: [2 of Int32] = [-1, -1]
    var span = ends.mutableSpan
    // SAFETY: two descriptors, which the call sets.
    let result = unsafe span.withUnsafeMutableBufferPointer {
      unsafe socketpair(AF_UNIX, type, 0, $0.baseAddress)
    }
    let error = Errno.current
    guard result == 0 else { throw error }
    return (ends[0], ends[1])
  }

  /// One that listens at a path and never waits. The file is made with mode 0600: there is no
  /// instant at which another user could connect. The mask of new files is changed meanwhile, so no
  /// other thread makes files now.
  ///
  /// A socket file that nobody answers at, left over by a program that was killed, makes room.
  ///
  /// - Parameter backlog: connections that wait to be accepted.
  /// - Throws: *EADDRINUSE* for a file that is no socket, and where somebody listens.
  package static func listening(at path: [UInt8], backlog: Int32) throws(Errno) -> FileDescriptor {
    let address = try UnixSocketAddress(path)
    let type = type | Int32(SOCK_NONBLOCK.rawValue)
    let file = try FileDescriptor { socket(AF_UNIX, type, 0) }
    let mask = umask(0o177)
    defer { _ = umask(mask) }
    do throws(Errno) {
      try address.bind(file.rawValue)
    } catch {
      // connect(2) would refuse any other file just so.
      guard error == Errno(EADDRINUSE), isSocket(path), try isLeftOver(address) else { throw error }
      _ = unsafe withPath(path) { unsafe unlink($0) }
      try address.bind(file.rawValue)
    }
    let result = listen(file.rawValue, backlog)
    let error = Errno.current
    guard result == 0 else { throw error }
    return file
  }

  /// Whether nobody listens on a socket file.
  private static func isLeftOver(_ address: UnixSocketAddress) throws(Errno) -> Bool {
    let type = type | Int32(SOCK_NONBLOCK.rawValue)
    let probe = try FileDescriptor { socket(AF_UNIX, type, 0) }
    do throws(Errno) {
      try address.connect(probe.rawValue)
      return false
    } catch {
      // Anything else may be a server that is busy, or another user's.
      return error == Errno(ECONNREFUSED)
    }
  }

  /// Whether a socket file is there, and no other file.
  static func isSocket(_ path: [UInt8]) -> Bool {
    status(path).map { $0.st_mode & S_IFMT == S_IFSOCK } ?? false
  }

  /// Of the file itself, not of what a link leads to.
  static func status(_ path: [UInt8]) -> stat? {
    var status = stat()
    // SAFETY: the structure lives for the call.
    let result = unsafe withPath(path) { unsafe lstat($0, &status) }
    return result == 0 ? status : nil
  }

  static func withPath<R>(_ path: [UInt8], _ body: (UnsafePointer<CChar>) -> R) -> R {
    // SAFETY: terminated, and lent for the call.
    unsafe (path + [0]).withUnsafeBytes {
      unsafe body($0.baseAddress!.assumingMemoryBound(to: CChar.self))
    }
  }

  /// One that is connected to the socket at a path.
  package static func connected(to path: [UInt8]) throws(Errno) -> FileDescriptor {
    let address = try UnixSocketAddress(path)
    let file = try FileDescriptor { socket(AF_UNIX, type, 0) }
    try address.connect(file.rawValue)
    return file
  }
}
