internal import CKVM
internal import Glibc
internal import HostSystem

// The requests of ioctl(2).
extension FileDescriptor {
  /// An ioctl with a plain number as argument; returns its non-negative answer.
  @discardableResult
  func call(
    _ request: UInt, value: UInt = 0, _ operation: @autoclosure () -> String, cure: String? = nil
  ) throws(KVMError) -> Int32 {
    while true {
      let answer = ckvm_ioctl_value(rawValue, request, value)
      if answer >= 0 { return answer }
      let error = Errno.current
      if error.rawValue == EINTR { continue }
      throw .call(operation: operation(), error: error, cure: cure)
    }
  }

  /// An ioctl that reads or fills `argument`; returns its non-negative answer.
  @discardableResult
  func call(
    _ request: UInt, pointer argument: UnsafeMutableRawPointer,
    _ operation: @autoclosure () -> String, cure: String? = nil
  ) throws(KVMError) -> Int32 {
    while true {
      // SAFETY: every caller passes the struct that the request's number encodes, and it lives
      // until the call returns.
      let answer = unsafe ckvm_ioctl_pointer(rawValue, request, argument)
      if answer >= 0 { return answer }
      let error = Errno.current
      if error.rawValue == EINTR { continue }
      throw .call(operation: operation(), error: error, cure: cure)
    }
  }

  /// The same for one struct, copied in and out.
  @discardableResult
  func call<Argument>(
    _ request: UInt, _ argument: inout Argument,
    _ operation: @autoclosure () -> String, cure: String? = nil
  ) throws(KVMError) -> Int32 {
    try unsafe withUnsafeMutablePointer(to: &argument) { (pointer) throws(KVMError) in
      try unsafe call(
        request, pointer: UnsafeMutableRawPointer(pointer), operation(), cure: cure)
    }
  }
}
