/// What a VMM has yet to do after a guest wrote a synthetic MSR, before that guest's next
/// instruction.
public enum MSREffect: Hashable, Sendable {
  /// Put the hypercall page's code (``HypercallPage/code(port:)``) into the page with this GPN.
  ///
  /// The page is RAM: the register write would have faulted otherwise. The VMM writes it like any
  /// device would, so that it no longer counts as zero.
  case hypercallPageEnabled(UInt64)

  /// Hypercalls are off. Nothing needs writing: ``HypercallPage`` admits no call any more.
  case hypercallPageDisabled

  /// Put the reference TSC page (``SyntheticMSRs/referenceTSCPage``) into the page with this GPN.
  ///
  /// The page is RAM. It comes again each time the guest enables the page, even if it was enabled.
  case referenceTSCPageEnabled(UInt64)

  /// Clear the first 4 bytes, *ApicAssist*, of the page with this GPN: no EOI is waived.
  ///
  /// The page is RAM.
  case vpAssistPageEnabled(UInt64)

  /// Reset the machine. ``SyntheticMSRs/reset()`` is part of that and is not done yet.
  case reset

  /// Report to the user that the guest crashed. The guest goes on, to write its own dump.
  case guestCrashed(CrashReport)
}
