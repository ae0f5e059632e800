/// The code page through which a guest makes hypercalls, for a VMM without KVM's help.
///
/// VMCALL does not leave KVM, so that the page traps by an `out` to a port that nothing else uses.
/// The port is an immediate operand: DX would be the low part of the input GPA. All registers of
/// the calling convention pass through unharmed, XMM included, in 64-bit and 32-bit code alike.
///
/// Source: TLFS, Hypercall Interface, "Establishing the Hypercall Interface" and "Legal Hypercall
/// Environments".
public enum HypercallPage {
  /// Bytes of the page.
  public static let byteCount = 4096

  /// Bytes of the instruction that traps, at the start of the page.
  ///
  /// Depending on the kernel, RIP at the exit is before or after it: a VMM that finds it after
  /// subtracts this to have the instruction's start.
  public static let instructionByteCount = 2

  /// The page: `out imm8, al` and `ret` (E6 ib C3), then 0xCC, a breakpoint, so that a stray jump
  /// into the page is noticed at once.
  ///
  /// It must stay the same while it is enabled: some guests verify that.
  public static func code(port: UInt8) -> [UInt8] {
    var bytes = [UInt8](repeating: 0xCC, count: byteCount)
    bytes.replaceSubrange(0..<3, with: [0xE6, port, 0xC3])
    return bytes
  }

  /// Whether an `out` to the page's port is a hypercall.
  ///
  /// The port alone proves nothing: any code that may use ports, at any privilege level, can write
  /// to it. What fails this gets #UD, as a hypercall from a wrong place does. Of several reasons
  /// the first in the order of the parameters is given. A pure function.
  ///
  /// - Parameters:
  ///   - isProtectedMode: CR0.PE.
  ///   - privilegeLevel: the CPL, from SS.DPL; only 0 may call.
  ///   - guestOSID: GUEST_OS_ID; 0 means that the guest has not introduced itself.
  ///   - hypercallPage: the GPN of the enabled hypercall page; nil while it is not enabled.
  ///   - instructionAddress: the GPA of the first byte of the `out`, so RIP translated by the
  ///     guest's page tables; nil if it does not translate.
  public static func admits(
    isProtectedMode: Bool, privilegeLevel: Int, guestOSID: UInt64, hypercallPage: UInt64?,
    instructionAddress: GuestAddress?
  ) -> HypercallAdmission {
    guard isProtectedMode else { return .invalidOpcode(.realMode) }
    guard privilegeLevel == 0 else { return .invalidOpcode(.privilegeLevel) }
    guard guestOSID != 0 else { return .invalidOpcode(.noGuestOSID) }
    guard let hypercallPage else { return .invalidOpcode(.pageDisabled) }
    guard let instructionAddress, instructionAddress.pageNumber == hypercallPage else {
      return .invalidOpcode(.outsidePage)
    }
    // The page is plain RAM, so that a guest can put more `out`s into it; only ours counts.
    guard instructionAddress.pageOffset == 0 else { return .invalidOpcode(.wrongOffset) }
    return .accept
  }
}

extension SyntheticMSRs {
  /// `HypercallPage.admits` with the identity and page that these registers hold.
  public func admitsHypercall(
    isProtectedMode: Bool, privilegeLevel: Int, instructionAddress: GuestAddress?
  ) -> HypercallAdmission {
    admissionState.admits(
      isProtectedMode: isProtectedMode, privilegeLevel: privilegeLevel,
      instructionAddress: instructionAddress)
  }
}
