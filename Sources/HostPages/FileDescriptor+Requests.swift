internal import CKVM
internal import Glibc
internal import HostSystem

// The requests of ioctl(2).
extension FileDescriptor {
  /// An ioctl with a struct, copied in and out; the answer, or what `errno` says.
  ///
  /// EINTR is repeated: no request used here is half done then, but PAGEMAP_SCAN, which starts
  /// over.
  func call<Argument>(_ request: UInt, _ argument: inout Argument) -> Result<Int, Errno> {
    unsafe withUnsafeMutablePointer(to: &argument) { pointer in
      while true {
        // SAFETY: every caller passes the struct that the request's number encodes, and it lives
        // until the call returns.
        let answer = unsafe ckvm_ioctl_pointer(rawValue, request, UnsafeMutableRawPointer(pointer))
        let error = Errno.current
        if answer >= 0 { return .success(Int(answer)) }
        if error.rawValue != EINTR { return .failure(error) }
      }
    }
  }
}
