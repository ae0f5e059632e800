/// What a guest reported of its crash when it wrote CRASH_CTL with *CrashNotify* set.
///
/// All of it is the guest's word. A thread-safe value.
///
/// Source: TLFS, Partition Properties, "Guest Crash Enlightenment".
public struct CrashReport: Hashable, Sendable {
  /// A text in guest memory.
  public struct Message: Hashable, Sendable {
    /// Where it starts; nothing says that memory lies there.
    public let address: GuestAddress
    /// Its length in bytes, 1...4096.
    public let byteCount: Int
  }

  /// The longest message in bytes.
  public static let maximumMessageByteCount: UInt64 = 4096

  /// CRASH_P0 to CRASH_P4, always five. Windows puts the bug check code into P0.
  public let parameters: [UInt64]

  /// CRASH_CTL as written.
  public let control: UInt64

  /// Composes a report from five registers and the control value.
  ///
  /// Missing parameters are zero, further ones are dropped.
  public init(parameters: [UInt64], control: UInt64) {
    self.parameters = Array((parameters + [0, 0, 0, 0, 0]).prefix(5))
    self.control = control
  }

  /// *CrashNotify*, bit 63.
  public static let notifyBit: UInt64 = 1 << 63
  /// *CrashMessage*, bit 62.
  public static let messageBit: UInt64 = 1 << 62
  /// *NoCrashDump*, bit 61.
  public static let noDumpBit: UInt64 = 1 << 61

  /// *CrashNotify*: this is a crash and not a mere write of the register.
  public var notifies: Bool { control & Self.notifyBit != 0 }

  /// *NoCrashDump*: the guest will not write a dump of its own.
  public var writesNoDump: Bool { control & Self.noDumpBit != 0 }

  /// *PreOSId*, bits 60:58: which boot stage crashed; 0 for an operating system.
  public var preOSID: Int { Int(truncatingIfNeeded: control >> 58 & 7) }

  /// The text at GPA P3 with P4 bytes, if *CrashMessage* is set.
  ///
  /// Nil for an empty text, one longer than 4096 bytes, or one that leaves the 64-bit address
  /// space: the guest may be past telling the truth.
  public var message: Message? {
    let (start, byteCount) = (parameters[3], parameters[4])
    guard control & Self.messageBit != 0, (1...Self.maximumMessageByteCount).contains(byteCount),
      !start.addingReportingOverflow(byteCount - 1).overflow
    else { return nil }
    return Message(
      address: GuestAddress(rawValue: start), byteCount: Int(truncatingIfNeeded: byteCount))
  }
}

extension CrashReport {
  /// What each of the five parameters means in a report of a guest of some family; empty where
  /// unknown.
  public func parameterMeanings(of family: GuestIdentity.Family) -> [String] {
    var meanings = ["", "", "", "", ""]
    switch family {
    case .windows:
      let bugCheck = BugCheck(rawValue: parameters[0])
      meanings = [bugCheck.name ?? "bug check"] + bugCheck.parameterMeanings
    case .linux where control & Self.messageBit == 0:
      // hyperv_report_panic in arch/x86/hyperv/hv_init.c.
      meanings = [
        parameters[0] == 0 ? "panic" : "oops", "guest identity", "RIP", "RAX", "RSP",
      ]
    case .linux, .freeBSD, .other: break
    }
    if control & Self.messageBit != 0 {
      (meanings[3], meanings[4]) = ("address of the message", "its length")
    }
    return meanings
  }
}
