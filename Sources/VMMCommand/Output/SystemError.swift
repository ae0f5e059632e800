import Glibc
import HostSystem

/// A system call that failed in this module: what was attempted, with what, and the answer.
struct SystemError: Error, Equatable, CustomStringConvertible {
  /// `write map.svg`: what follows "cannot".
  let attempt: String
  let code: Int32

  private let ownCure: String?

  /// - Parameter cure: what to do about it, where the error code alone does not tell.
  init(_ attempt: String, code: Int32, cure: String? = nil) {
    self.attempt = attempt
    self.code = code
    ownCure = cure
  }

  var description: String {
    "cannot \(attempt): \(Errno(code))" + (cure.map { "; \($0)" } ?? "")
  }

  /// What to do about the errors that users really meet.
  private var cure: String? {
    if let ownCure { return ownCure }
    return switch code {
    case ENOENT: "create its directory first"
    case ENOSPC, EDQUOT: "free some space or choose another place"
    case EACCES, EPERM, EROFS: "choose a place this user may write to"
    default: nil
    }
  }
}
