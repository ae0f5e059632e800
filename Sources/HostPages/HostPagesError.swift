internal import HostSystem

/// What failed at the border to the host kernel.
///
/// `description` is one line: what was attempted, with which values, what the kernel answered,
/// and what to do about it where that is known.
public enum HostPagesError: Error, Equatable, Sendable, CustomStringConvertible {
  /// A system call or ioctl answered with an error; `errno` is its number.
  case call(operation: String, errno: Int32, cure: String?)
  /// The running kernel lacks features, named as in its headers.
  case missingFeatures([String])
  /// A caller's range that cannot be used.
  case invalidRange(HostRange, reason: String)
  /// The memory of the range was unmapped or mapped anew: what was written to it is not known.
  case registrationLost(HostRange)
  /// `readWrittenPages` was called before `arm`: nothing was noted yet.
  case notArmed
  /// The object was used after `end`.
  case ended
  /// The kernel took every request and then gave a wrong answer.
  case wrongAnswer(String)

  /// One line: what was attempted, what the system answered, and what to do.
  public var description: String {
    switch self {
    case .call(let operation, let number, let cure):
      "\(operation): \(Errno(number))" + (cure.map { "; \($0)" } ?? "")
    case .missingFeatures(let names):
      "this kernel has no \(names.joined(separator: ", ")), needed to note written pages;"
        + " use Linux 6.7 or newer with CONFIG_USERFAULTFD=y"
    case .invalidRange(let range, let reason):
      "cannot write-protect \(range): \(reason)"
    case .registrationLost(let range):
      "cannot read the written pages of \(range): some of it is not registered any longer;"
        + " take every page as written, and end the protection before memory is unmapped"
    case .notArmed:
      "cannot read written pages: the ranges are not protected; call arm first"
    case .ended:
      "cannot use a write protection after its end; make a new one"
    case .wrongAnswer(let text):
      text
    }
  }
}
