internal import Glibc

/// A system error number that prints as `Permission denied (errno 13)`.
struct ErrorText: CustomStringConvertible {
  private let errno: Int32

  init(_ errno: Int32) {
    self.errno = errno
  }

  var description: String {
    var text = [CChar](repeating: 0, count: 128)
    let length = text.count
    // SAFETY: the call writes at most `length` bytes, the last of them 0.
    guard unsafe strerror_r(errno, &text, length) == 0 else { return "errno \(errno)" }
    let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    return "\(String(decoding: bytes, as: UTF8.self)) (errno \(errno))"
  }
}
