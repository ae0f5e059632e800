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
