internal import Glibc

/// A system error number that prints as `No space left on device (errno 28)`.
struct SystemErrorText: CustomStringConvertible {
  private let errno: Int32

  init(_ errno: Int32) {
    self.errno = errno
  }

  var description: String {
    var text = [UInt8](repeating: 0, count: 128)
    // SAFETY: the call writes at most bytes.count bytes, the last of them 0.
    unsafe text.withUnsafeMutableBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      _ = unsafe strerror_r(errno, base.assumingMemoryBound(to: CChar.self), bytes.count)
    }
    return "\(String(decoding: text.prefix { $0 != 0 }, as: UTF8.self)) (errno \(errno))"
  }
}
