/// What an `out` to the hypercall page's port is.
public enum HypercallAdmission: Hashable, Sendable {
  /// A hypercall: dispatch it.
  case accept
  /// Not a hypercall: inject #UD into the vCPU.
  case invalidOpcode(Reason)

  /// Why it is not a hypercall.
  public enum Reason: Hashable, Sendable, CaseIterable {
    /// The vCPU is in real mode.
    case realMode
    /// The CPL is not 0.
    case privilegeLevel
    /// GUEST_OS_ID is 0.
    case noGuestOSID
    /// The hypercall page is not enabled.
    case pageDisabled
    /// The instruction lies elsewhere, or nowhere.
    case outsidePage
    /// The instruction is in the page, but not the one at its start.
    case wrongOffset
  }
}

extension HypercallAdmission.Reason: CustomStringConvertible {
  /// The reason in words, for a log.
  public var description: String {
    switch self {
    case .realMode: "the processor is in real mode"
    case .privilegeLevel: "the privilege level is not 0"
    case .noGuestOSID: "the guest OS identity is 0"
    case .pageDisabled: "the hypercall page is not enabled"
    case .outsidePage: "the instruction is outside the hypercall page"
    case .wrongOffset: "the instruction is not the first of the hypercall page"
    }
  }
}

/// What of a partition's registers decides whether a hypercall is admitted, in one word.
///
/// A VMM that keeps ``SyntheticMSRs`` under a lock can publish it in an atomic variable after each
/// write of a register, and then needs no lock for each hypercall. A thread-safe value.
public struct HypercallAdmissionState: RawRepresentable, Hashable, Sendable {
  /// HYPERCALL, but with bit 1 telling whether GUEST_OS_ID is not 0. 0 admits nothing.
  public let rawValue: UInt64

  private static let identityBit: UInt64 = 2

  /// Wraps a word that another state had.
  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  /// What these two registers decide.
  public init(guestOSID: UInt64, hypercall: OverlayPageMSR) {
    rawValue =
      hypercall.rawValue & ~Self.identityBit | (guestOSID == 0 ? 0 : Self.identityBit)
  }

  /// `HypercallPage.admits` with the identity and page of this state.
  public func admits(
    isProtectedMode: Bool, privilegeLevel: Int, instructionAddress: GuestAddress?
  ) -> HypercallAdmission {
    HypercallPage.admits(
      isProtectedMode: isProtectedMode, privilegeLevel: privilegeLevel,
      guestOSID: rawValue & Self.identityBit,
      hypercallPage: OverlayPageMSR(rawValue: rawValue).enabledPage,
      instructionAddress: instructionAddress)
  }
}

extension SyntheticMSRs {
  /// What decides on hypercalls now.
  public var admissionState: HypercallAdmissionState {
    HypercallAdmissionState(guestOSID: guestOSID, hypercall: hypercall)
  }
}
