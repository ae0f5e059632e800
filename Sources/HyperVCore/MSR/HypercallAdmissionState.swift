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
