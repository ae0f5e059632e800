internal import CLinux
internal import Glibc
internal import HostSystem

/// Takes from a thread every file that no rule gives it (Documentation/userspace-api/landlock.rst).
/// What is open stays usable.
public enum Landlock {
  /// What the kernel's version of it is called; 0 where it has none, or none is in force.
  public static var abi: Int {
    max(0, Int(clinux_landlock_version()))
  }

  /// Restricts the calling thread, and those it makes from now on, for good: files to `rules`, no
  /// TCP, and no signals or abstract sockets to other processes, as far as the kernel's ABI goes.
  ///
  /// The thread has to have given up new privileges. A path that does not exist is passed over. The
  /// descriptors of paths stay open: procfs makes new directories for processes when no process
  /// holds the old ones, and rules are for the old.
  ///
  /// - Returns: the ABI in force; 0 if the kernel has no Landlock and nothing was restricted.
  @discardableResult
  public static func restrict(to rules: [LandlockRule]) throws(SandboxError) -> Int {
    let abi = abi
    guard abi > 0 else { return 0 }
    let handled = LandlockAccess.all(abi: abi)
    let ruleset = try makeRuleset(handled, abi: abi)
    for rule in rules { try add(rule, handled, to: ruleset.rawValue) }
    let result = clinux_landlock_restrict_self(ruleset.rawValue)
    let error = errno
    guard result == 0 else { throw failure("enforce Landlock rules", error) }
    return abi
  }

  private static func makeRuleset(
    _ handled: LandlockAccess, abi: Int
  ) throws(SandboxError) -> FileDescriptor {
    var attributes = clinux_landlock_attributes()
    attributes.handled_access_fs = handled.rawValue
    // BIND_TCP and CONNECT_TCP; abstract UNIX sockets and signals.
    if abi >= 4 { attributes.handled_access_net = 0b11 }
    if abi >= 6 { attributes.scoped = 0b11 }
    let byteCount = abi >= 6 ? 24 : abi >= 4 ? 16 : 8
    do throws(Errno) {
      // SAFETY: the kernel reads byteCount bytes, at most the structure's 24.
      return try FileDescriptor { unsafe clinux_landlock_create(&attributes, byteCount) }
    } catch {
      throw failure("make Landlock rules", error.rawValue)
    }
  }

  private static func add(
    _ rule: LandlockRule, _ handled: LandlockAccess, to ruleset: Int32
  ) throws(SandboxError) {
    // SAFETY: the path is lent, terminated, for the call.
    let descriptor = unsafe (rule.path.map { CChar(bitPattern: $0) } + [0])
      .withUnsafeBufferPointer { unsafe open($0.baseAddress!, CLINUX_O_PATH | O_CLOEXEC) }
    let openError = errno
    guard descriptor >= 0 else {
      if openError == ENOENT { return }
      throw .path(rule.pathText, errno: openError)
    }
    var status = stat()
    // SAFETY: the structure lives for the call, which cannot fail for an open descriptor.
    _ = unsafe fstat(descriptor, &status)
    var access = rule.access.intersection(handled)
    if status.st_mode & S_IFMT != S_IFDIR { access.formIntersection(.ofFiles) }
    var path = clinux_landlock_path(allowed_access: access.rawValue, parent_fd: descriptor)
    // SAFETY: the structure lives for the call.
    let result = unsafe clinux_landlock_add_path(ruleset, &path)
    let error = errno
    // EBADFD: a pipe or the like, which Landlock leaves alone.
    guard result == 0 || error == EBADFD else { throw .path(rule.pathText, errno: error) }
  }

  private static func failure(_ attempt: String, _ error: Int32) -> SandboxError {
    .call(operation: "cannot \(attempt)", errno: error, cure: nil)
  }
}

/// A file, or a directory with all below it, and what may be done there.
public struct LandlockRule: Hashable, Sendable {
  /// Without a NUL, in no particular encoding.
  public var path: [UInt8]
  /// What may be done with it and below it.
  public var access: LandlockAccess

  /// By a path in any encoding.
  public init(path: [UInt8], _ access: LandlockAccess) {
    self.path = path
    self.access = access
  }

  /// By a path that is text.
  public init(_ path: String, _ access: LandlockAccess) {
    self.init(path: Array(path.utf8), access)
  }

  /// For messages.
  var pathText: String { String(decoding: path, as: UTF8.self) }
}

/// What may be done with files: `LANDLOCK_ACCESS_FS_*` of linux/landlock.h.
public struct LandlockAccess: OptionSet, Hashable, Sendable {
  /// LANDLOCK_ACCESS_FS_* bits.
  public let rawValue: UInt64

  /// Any bits; those that the kernel does not know are left out of its rules.
  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  /// *WRITE_FILE*.
  public static let writeFile = LandlockAccess(rawValue: 1 << 1)
  /// *READ_FILE*.
  public static let readFile = LandlockAccess(rawValue: 1 << 2)
  /// *REMOVE_FILE*, in a directory.
  public static let removeFile = LandlockAccess(rawValue: 1 << 5)
  /// *READ_DIR*, of a directory.
  public static let readDirectory = LandlockAccess(rawValue: 1 << 3)
  /// *MAKE_DIR*, in a directory.
  public static let makeDirectory = LandlockAccess(rawValue: 1 << 7)
  /// *MAKE_REG*, in a directory.
  public static let makeFile = LandlockAccess(rawValue: 1 << 8)
  /// *TRUNCATE*, ABI 3.
  public static let truncate = LandlockAccess(rawValue: 1 << 14)
  /// *IOCTL_DEV*, ABI 5: requests on a device that is opened from now on.
  public static let control = LandlockAccess(rawValue: 1 << 15)

  /// Those that a rule for something that is no directory may have: *EXECUTE* too.
  static let ofFiles: LandlockAccess = [
    LandlockAccess(rawValue: 1), .writeFile, .readFile, .truncate, .control,
  ]

  /// All that an ABI knows, and so forbids where no rule allows it.
  static func all(abi: Int) -> LandlockAccess {
    switch abi {
    case ..<1: []
    case 1: LandlockAccess(rawValue: 1 << 13 - 1)
    // *REFER*.
    case 2: LandlockAccess(rawValue: 1 << 14 - 1)
    case 3, 4: LandlockAccess(rawValue: 1 << 15 - 1)
    default: LandlockAccess(rawValue: 1 << 16 - 1)
    }
  }
}
