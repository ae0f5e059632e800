import HyperVCore

/// Registers of a partition with 16 pages of RAM, and short words to use them.
struct MSRFixture {
  static let clock = PartitionClock(
    tscFrequencyHertz: 2_500_000_000, apicFrequencyHertz: 1_000_000_000)

  var registers: SyntheticMSRs
  var context = VirtualProcessorContext(
    vpIndex: 3, timestampCounter: 5_000_000_000, runTime: 777, ramPageCount: 16)

  init(_ enlightenments: Enlightenments = .all, guestOSID: UInt64 = 0) {
    registers = SyntheticMSRs(enlightenments: enlightenments, clock: Self.clock)
    if guestOSID != 0 { _ = write(.guestOSID, guestOSID) }
  }

  mutating func read(_ msr: SyntheticMSR) -> MSRReadOutcome {
    registers.read(msr, context: context)
  }

  mutating func write(_ msr: SyntheticMSR, _ value: UInt64) -> MSRWriteOutcome {
    registers.write(msr, value: value, context: context)
  }

  /// The OS identity of Linux.
  static let linux: UInt64 = 0x8100 << 48
}
