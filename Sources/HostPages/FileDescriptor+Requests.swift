internal import CKVM
internal import Glibc

/// A file descriptor with one owner, closed when the owner goes.
struct OwnedDescriptor: ~Copyable, Sendable {
  let rawValue: Int32

  /// Takes over `rawValue`, which nobody else may close.
  init(taking rawValue: Int32) {
    self.rawValue = rawValue
  }

  deinit {
    // The result is of no use: Linux frees the number even when close reports an error.
    _ = close(rawValue)
  }

  /// An ioctl with a struct, copied in and out; the answer, or what `errno` says.
  ///
  /// EINTR is repeated: no request used here is half done then, but PAGEMAP_SCAN, which starts
  /// over.
  func call<Argument>(_ request: UInt, _ argument: inout Argument) -> Result<Int, SystemError> {
    unsafe withUnsafeMutablePointer(to: &argument) { pointer in
      while true {
        // SAFETY: every caller passes the struct that the request's number encodes, and it lives
        // until the call returns.
        let answer = unsafe ckvm_ioctl_pointer(rawValue, request, UnsafeMutableRawPointer(pointer))
        let error = errno
        if answer >= 0 { return .success(Int(answer)) }
        if error != EINTR { return .failure(SystemError(number: error)) }
      }
    }
  }
}

/// An `errno` on its way to the error that says what it means.
struct SystemError: Error {
  let number: Int32
}
