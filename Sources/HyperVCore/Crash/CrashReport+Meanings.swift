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
