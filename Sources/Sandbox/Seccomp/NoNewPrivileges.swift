internal import CLinux
internal import Glibc

/// *no_new_privs*: no execve(2) gives the thread, or its descendants, more rights than it has.
public enum NoNewPrivileges {
  /// Sets it for the calling thread and those it makes from now on, for good.
  public static func set() throws(SandboxError) {
    let result = clinux_set_no_new_privileges()
    let error = errno
    guard result == 0 else {
      throw .call(operation: "cannot give up new privileges", errno: error, cure: nil)
    }
  }

  /// Whether it is set for the calling thread; nil where the kernel does not know of it.
  public static var isSet: Bool? {
    let result = clinux_no_new_privileges()
    return result < 0 ? nil : result == 1
  }
}
