/// *Fixed feature flags* of the FADT (ACPI 6.3 table 5-35); those that our machines set.
///
/// *PWR_BUTTON*, bit 4, stays clear: the power button is in the fixed registers.
struct FADTFlags: OptionSet, Sendable {
  let rawValue: UInt32

  /// *WBINVD*: the instruction works.
  static let wbinvd = FADTFlags(rawValue: 1 << 0)
  /// *PROC_C1*: all processors have C1.
  static let c1OnAllProcessors = FADTFlags(rawValue: 1 << 2)
  /// *SLP_BUTTON*: there is no sleep button in the fixed registers.
  static let noFixedSleepButton = FADTFlags(rawValue: 1 << 5)
  /// *RTC_S4*: without meaning as long as there is no S4, but what systems find on a q35.
  static let clockWakesFromS4 = FADTFlags(rawValue: 1 << 7)
  /// *TMR_VAL_EXT*: the timer counts 32 bits, not 24.
  static let timerHas32Bits = FADTFlags(rawValue: 1 << 8)
  /// *RESET_REG_SUP*: the reset register works.
  static let hasResetRegister = FADTFlags(rawValue: 1 << 10)
  /// *FORCE_APIC_CLUSTER_MODEL*: more than eight processors need logical destinations in clusters.
  static let forceAPICClusterModel = FADTFlags(rawValue: 1 << 18)
}
