internal import HostSystem

/// Why a sandbox cannot be entered. One line, with the cure where one is known.
public enum SandboxError: Error, Equatable, Sendable, CustomStringConvertible {
  /// A system call failed. `operation` is what was attempted.
  case call(operation: String, errno: Int32, cure: String?)
  /// A path that rules name cannot be opened.
  case path(String, errno: Int32)

  /// One line: what was attempted, what the system answered, and what to do.
  public var description: String {
    switch self {
    case .call(let operation, let errno, let cure):
      "\(operation): \(Errno(errno))" + (cure.map { "; \($0)" } ?? "")
    case .path(let path, let errno):
      "cannot give the sandbox \(path): \(Errno(errno))"
    }
  }
}
