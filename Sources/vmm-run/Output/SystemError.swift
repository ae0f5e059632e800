import Glibc

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
    "cannot \(attempt): \(Self.text(of: code))" + (cure.map { "; \($0)" } ?? "")
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

  private static func text(of code: Int32) -> String {
    let name = names[code] ?? "errno \(code)"
    var buffer = [CChar](repeating: 0, count: 256)
    let length = buffer.count
    // SAFETY: the buffer lives for the call, which is told its true length and terminates it.
    guard unsafe strerror_r(code, &buffer, length) == 0 else { return name }
    let text = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    return String(decoding: text, as: UTF8.self) + " (\(name))"
  }

  /// Those that opening and writing files, and setting up a terminal, can give.
  private static let names: [Int32: String] = [
    EACCES: "EACCES", EAGAIN: "EAGAIN", EBADF: "EBADF", EDQUOT: "EDQUOT", EEXIST: "EEXIST",
    EFBIG: "EFBIG", EINVAL: "EINVAL", EIO: "EIO", EISDIR: "EISDIR", ELOOP: "ELOOP",
    EMFILE: "EMFILE", ENAMETOOLONG: "ENAMETOOLONG", ENFILE: "ENFILE", ENOENT: "ENOENT",
    ENOMEM: "ENOMEM", ENOSPC: "ENOSPC", ENOTDIR: "ENOTDIR", ENOTTY: "ENOTTY", ENXIO: "ENXIO",
    EPERM: "EPERM", EPIPE: "EPIPE", EROFS: "EROFS", ETXTBSY: "ETXTBSY",
  ]
}
