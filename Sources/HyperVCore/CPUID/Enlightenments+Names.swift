extension Enlightenments: CustomStringConvertible {
  /// All names, in an order that does not change: that of the table in the documentation.
  public static let names: [String] = table.map(\.name)

  /// The enlightenment with a name from ``names``, case-sensitively; nil if there is none.
  ///
  /// `avic`, AMD's word and QEMU's other name for `apicv`, is known too.
  public static func named(_ name: String) -> Enlightenments? {
    name == "avic" ? .apicVirtualization : table.first { $0.name == name }?.member
  }

  /// The names of the members, separated by commas; `none` if there are none.
  ///
  /// Unknown bits follow in hexadecimal.
  public var description: String {
    var parts = Self.table.filter { contains($0.member) }.map(\.name)
    if unknownBits != 0 { parts.append(unknownBits.hexadecimal) }
    return parts.isEmpty ? "none" : parts.joined(separator: ",")
  }

  /// One enlightenment, its name on a command line, and what it needs directly.
  struct Entry: Sendable {
    let member: Enlightenments
    let name: String
    let requirements: Enlightenments
  }

  static let table: [Entry] = [
    Entry(member: .relaxedTiming, name: "relaxed", requirements: []),
    Entry(member: .virtualAPIC, name: "vapic", requirements: []),
    Entry(member: .vpIndex, name: "vpindex", requirements: []),
    Entry(member: .vpRuntime, name: "runtime", requirements: []),
    Entry(member: .crash, name: "crash", requirements: []),
    Entry(member: .time, name: "time", requirements: []),
    Entry(member: .reset, name: "reset", requirements: []),
    Entry(member: .frequencies, name: "frequencies", requirements: []),
    // Messages, timers, flushes and IPIs are addressed to a VP by its index.
    Entry(member: .syntheticInterrupts, name: "synic", requirements: .vpIndex),
    // A timer expires as a SynIC message, at a moment of reference time.
    Entry(
      member: .syntheticTimers, name: "stimer",
      requirements: [.vpIndex, .time, .syntheticInterrupts]),
    Entry(
      member: .directSyntheticTimers, name: "stimer-direct",
      requirements: [.vpIndex, .time, .syntheticInterrupts, .syntheticTimers]),
    Entry(member: .tlbFlush, name: "tlbflush", requirements: .vpIndex),
    Entry(
      member: .extendedFlushRanges, name: "tlbflush-ext", requirements: [.vpIndex, .tlbFlush]),
    Entry(member: .ipi, name: "ipi", requirements: .vpIndex),
    Entry(member: .xmmInput, name: "xmm-input", requirements: []),
    Entry(member: .apicVirtualization, name: "apicv", requirements: []),
    Entry(member: .reenlightenment, name: "reenlightenment", requirements: []),
    Entry(
      member: .noNonArchitecturalCoreSharing, name: "no-nonarch-coresharing", requirements: []),
    // These two are arranged by way of the VP assist page.
    Entry(member: .directFlush, name: "tlbflush-direct", requirements: .virtualAPIC),
    Entry(member: .enlightenedVMCS, name: "evmcs", requirements: .virtualAPIC),
    Entry(member: .enlightenedMSRBitmap, name: "emsr-bitmap", requirements: []),
    Entry(member: .extendedHypercalls, name: "ext-hypercalls", requirements: []),
    // 0x8002 is behind the privilege of all extended hypercalls, and 0x8001 is how it is found.
    Entry(
      member: .bootZeroedMemory, name: "boot-zeroed-memory", requirements: .extendedHypercalls),
    Entry(member: .memoryHeatHint, name: "memory-heat-hint", requirements: .extendedHypercalls),
  ]
}
