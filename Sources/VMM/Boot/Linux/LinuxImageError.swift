/// Why a kernel, its initrd or its command line cannot be used.
public enum LinuxImageError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The file cannot be opened or read.
  case unreadable(file: String, reason: String)
  /// The file is not a kernel of a known kind; `found` says what it looks like.
  case notAKernel(file: String, found: String, cure: String)
  /// The file ends before something that it must have.
  case tooShort(file: String, byteCount: Int, what: String, neededByteCount: UInt64)
  /// A field of a header has a value that it may not have.
  case field(file: String, name: String, offset: UInt64, value: UInt64, expected: String)
  /// A Xen note is needed and not there, or bad.
  case note(file: String, problem: String)
  /// Something does not fit in the guest's memory.
  case placement(what: String, cure: String)
  /// The command line is too long or has a NUL.
  case commandLine(problem: String, cure: String)

  /// One line: the file, what is wrong with it, and what to do.
  public var description: String {
    switch self {
    case .unreadable(let file, let reason):
      "cannot read \(file): \(reason)"
    case .notAKernel(let file, let found, let cure):
      "\(file) is no Linux kernel: it is \(found); \(cure)"
    case .tooShort(let file, let byteCount, let what, let neededByteCount):
      "\(file) ends after \(byteCount) bytes, but \(what) needs \(neededByteCount);"
        + " the file is truncated or damaged"
    case .field(let file, let name, let offset, let value, let expected):
      "\(file): \(name) at offset 0x\(String(offset, radix: 16)) is"
        + " 0x\(String(value, radix: 16)), expected \(expected);"
        + " the file is damaged or not a kernel for x86-64"
    case .note(let file, let problem):
      "\(file): \(problem); build the kernel with CONFIG_PVH, or give its bzImage"
    case .placement(let what, let cure), .commandLine(let what, let cure):
      "\(what); \(cure)"
    }
  }
}
