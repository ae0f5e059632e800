internal import Glibc

/// A system error number that prints as `Invalid argument (EINVAL)`.
struct Errno: CustomStringConvertible {
  let value: Int32

  init(_ value: Int32) {
    self.value = value
  }

  var isOutOfMemory: Bool {
    value == ENOMEM || value == ENOSPC || value == EAGAIN
  }

  /// The limit of this process that was in the way, if it was one that `ulimit` knows.
  var exceededLimit: String? {
    switch value {
    case EMFILE, ENFILE: "open files (ulimit -n)"
    case EFBIG: "file sizes (ulimit -f)"
    default: nil
    }
  }

  var description: String {
    var text = [UInt8](repeating: 0, count: 128)
    // SAFETY: the call writes at most bytes.count bytes, the last of them 0.
    unsafe text.withUnsafeMutableBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      _ = unsafe strerror_r(value, base.assumingMemoryBound(to: CChar.self), bytes.count)
    }
    let message = String(decoding: text.prefix { $0 != 0 }, as: UTF8.self)
    return "\(message) (\(name))"
  }

  /// The names of what memory and file calls answer; others stay numbers, as the C library's table
  /// of names is a GNU extension that the importer does not see.
  private var name: String {
    switch value {
    case EPERM: "EPERM"
    case EINTR: "EINTR"
    case EIO: "EIO"
    case ENXIO: "ENXIO"
    case EBADF: "EBADF"
    case EAGAIN: "EAGAIN"
    case ENOMEM: "ENOMEM"
    case EACCES: "EACCES"
    case EFAULT: "EFAULT"
    case EBUSY: "EBUSY"
    case ENOENT: "ENOENT"
    case EISDIR: "EISDIR"
    case EINVAL: "EINVAL"
    case ENFILE: "ENFILE"
    case EMFILE: "EMFILE"
    case EFBIG: "EFBIG"
    case ENOSPC: "ENOSPC"
    case ESPIPE: "ESPIPE"
    case EROFS: "EROFS"
    case ENOSYS: "ENOSYS"
    case EOVERFLOW: "EOVERFLOW"
    case EOPNOTSUPP: "EOPNOTSUPP"
    case EHWPOISON: "EHWPOISON"
    default: "errno \(value)"
    }
  }
}
