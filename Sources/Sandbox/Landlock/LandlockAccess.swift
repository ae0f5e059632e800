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
