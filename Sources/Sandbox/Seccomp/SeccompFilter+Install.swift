internal import CLinux
internal import Glibc

extension SeccompFilter {
  /// Puts the calling thread, and all threads it makes from now on, under the filter, for good.
  ///
  /// Filters add up: a call is made only if all allow it. The thread has to have given up new
  /// privileges (`NoNewPrivileges`).
  public func install() throws(SandboxError) {
    var code = program.map {
      sock_filter(code: $0.code, jt: $0.ifTrue, jf: $0.ifFalse, k: $0.operand)
    }
    // SAFETY: the kernel copies the program during the call, with its true length.
    let (result, error) = unsafe code.withUnsafeMutableBufferPointer { buffer in
      var program = unsafe sock_fprog(len: UInt16(buffer.count), filter: buffer.baseAddress)
      let result = unsafe clinux_seccomp_set_filter(&program)
      return (result, errno)
    }
    guard result == 0 else {
      throw .call(
        operation: "cannot install a seccomp filter of \(program.count) instructions",
        errno: error, cure: nil)
    }
  }

  /// Whether the kernel can run such filters.
  public static var isAvailable: Bool {
    clinux_seccomp_action_available(CLINUX_SECCOMP_TRAP) == 0
  }
}
