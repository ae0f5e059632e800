internal import CLinux
internal import Glibc

/// An open file with one owner, closed when the owner goes.
///
/// Any thread may use `rawValue`, as long as the owner lives.
package struct FileDescriptor: ~Copyable, Sendable {
  package let rawValue: Int32

  /// Takes over `rawValue`, which is open, and which nothing else may close.
  package init(taking rawValue: Int32) {
    self.rawValue = rawValue
  }

  /// Takes over what a call opens.
  ///
  /// - Parameter open: a system call: answers -1 and sets `errno` where it fails. It asks for close
  ///   on exec.
  /// - Throws: `errno` after the call.
  package init(_ open: () -> Int32) throws(Errno) {
    let opened = open()
    let error = Errno.current
    guard opened >= 0 else { throw error }
    rawValue = opened
  }

  /// Takes over the next connection of a listening socket. No use of it waits, nor does this if the
  /// listener does not.
  package init(acceptedBy listener: borrowing FileDescriptor) throws(Errno) {
    let socket = listener.rawValue
    try self.init { clinux_accept(socket) }
  }

  deinit {
    // The result is of no use: Linux frees the number even when close reports an error.
    _ = close(rawValue)
  }

  /// Hands the open file over to the caller, who closes it.
  package consuming func release() -> Int32 {
    let released = rawValue
    discard self
    return released
  }
}

extension FileDescriptor? {
  /// The number of the open file, if there is one.
  package var rawValue: Int32? {
    switch self {
    case .some(let file): file.rawValue
    case .none: nil
    }
  }
}
