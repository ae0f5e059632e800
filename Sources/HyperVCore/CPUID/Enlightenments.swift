/// The parts of the Hyper-V interface that a partition offers to its guest.
///
/// One set decides the CPUID leaves, the synthetic MSRs and the hypercalls, so that these never
/// disagree. An empty set means no Hyper-V interface at all; any other also brings the hypercall
/// MSRs. The raw values are our own, not CPUID bits. A thread-safe value.
///
/// Source for what belongs together: QEMU documentation, "Hyper-V Enlightenments".
public struct Enlightenments: OptionSet, Hashable, Sendable {
  /// One bit per enlightenment.
  public let rawValue: UInt64

  /// Wraps a bit set. ``validate()`` refuses unknown bits.
  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  /// `relaxed`: no guest watchdog fires because a vCPU was not scheduled.
  public static let relaxedTiming = Enlightenments(rawValue: 1 << 0)
  /// `vapic`: EOI, ICR, TPR and the VP assist page by MSR.
  public static let virtualAPIC = Enlightenments(rawValue: 1 << 1)
  /// `vpindex`: the VP index by MSR. Linux takes no part of the interface without it.
  public static let vpIndex = Enlightenments(rawValue: 1 << 2)
  /// `runtime`: how long a VP ran, by MSR.
  public static let vpRuntime = Enlightenments(rawValue: 1 << 3)
  /// `crash`: the guest can report its crash.
  public static let crash = Enlightenments(rawValue: 1 << 4)
  /// `time`: the partition reference counter and the reference TSC page.
  public static let time = Enlightenments(rawValue: 1 << 5)
  /// `reset`: the guest can reset the machine by MSR.
  public static let reset = Enlightenments(rawValue: 1 << 6)
  /// `frequencies`: TSC and APIC timer frequency by MSR, so that the guest need not calibrate.
  public static let frequencies = Enlightenments(rawValue: 1 << 7)
  /// `synic`: the synthetic interrupt controller.
  public static let syntheticInterrupts = Enlightenments(rawValue: 1 << 8)
  /// `stimer`: the four synthetic timers of each VP.
  public static let syntheticTimers = Enlightenments(rawValue: 1 << 9)
  /// `tlbflush`: flush other VPs' translations by hypercall.
  public static let tlbFlush = Enlightenments(rawValue: 1 << 10)
  /// `ipi`: send interrupts to other VPs by hypercall.
  public static let ipi = Enlightenments(rawValue: 1 << 11)
  /// `ext-hypercalls`: hypercalls 0x8001 and up.
  public static let extendedHypercalls = Enlightenments(rawValue: 1 << 12)
  /// `boot-zeroed-memory`: hypercall 0x8002, which memory is still zero.
  public static let bootZeroedMemory = Enlightenments(rawValue: 1 << 13)

  /// `stimer-direct`: a timer's expiration as a plain interrupt, not as a SynIC message.
  public static let directSyntheticTimers = Enlightenments(rawValue: 1 << 14)
  /// `tlbflush-ext`: longer ranges of addresses in one entry of a flush's list.
  public static let extendedFlushRanges = Enlightenments(rawValue: 1 << 15)
  /// `tlbflush-direct`: a nested guest's flushes go past the guest that runs it.
  public static let directFlush = Enlightenments(rawValue: 1 << 16)
  /// `xmm-input`: hypercall input in XMM registers.
  public static let xmmInput = Enlightenments(rawValue: 1 << 17)
  /// `reenlightenment`: an interrupt when the TSC frequency changes.
  public static let reenlightenment = Enlightenments(rawValue: 1 << 18)
  /// `evmcs`: the enlightened VMCS, for a guest with guests of its own on Intel processors.
  public static let enlightenedVMCS = Enlightenments(rawValue: 1 << 19)
  /// `emsr-bitmap`: the guest marks when the MSR bitmap of its own guest has changed.
  public static let enlightenedMSRBitmap = Enlightenments(rawValue: 1 << 20)
  /// `apicv`: no AutoEOI, which KVM can only do without the processor's APIC virtualisation.
  public static let apicVirtualization = Enlightenments(rawValue: 1 << 21)
  /// `no-nonarch-coresharing`: virtual processors share a physical core only where CPUID says so.
  public static let noNonArchitecturalCoreSharing = Enlightenments(rawValue: 1 << 22)

  /// `memory-heat-hint`: hypercall 0x8003, which memory the guest does not need.
  public static let memoryHeatHint = Enlightenments(rawValue: 1 << 23)

  /// Every enlightenment.
  public static let all = Enlightenments(rawValue: (1 << 24) - 1)

  /// Those that only a guest with guests of its own can use.
  public static let nested: Enlightenments = [
    .directFlush, .enlightenedVMCS, .enlightenedMSRBitmap,
  ]

  /// The single enlightenments in this set, in the stable order of ``names``; unknown bits are left
  /// out.
  public var members: [Enlightenments] {
    Self.table.lazy.map(\.member).filter { contains($0) }
  }

  /// The bits in this set that are no enlightenment.
  public var unknownBits: UInt64 { rawValue & ~Self.all.rawValue }
}

extension Enlightenments {
  /// What an enlightenment cannot do without.
  ///
  /// For several, all that any of them needs. What is needed only by what is needed is included, so
  /// adding the requirements to a set of known enlightenments always makes it valid.
  public static func requirements(of enlightenments: Enlightenments) -> Enlightenments {
    table.reduce(into: []) { needed, entry in
      if enlightenments.contains(entry.member) { needed.formUnion(entry.requirements) }
    }
  }

  /// The members that are left once others are gone: without `missing` and all that needs any of
  /// it.
  public func removing(_ missing: Enlightenments) -> Enlightenments {
    // Requirements include those of requirements, so once is enough.
    Self.table.reduce(into: subtracting(missing)) { left, entry in
      if !entry.requirements.isDisjoint(with: missing) { left.remove(entry.member) }
    }
  }

  /// Refuses a set with unknown bits, or with an enlightenment that lacks what it needs.
  ///
  /// Of several faults, reports the first in the order of ``names``.
  public func validate() throws(EnlightenmentError) {
    guard unknownBits == 0 else { throw EnlightenmentError(.unknownBits(unknownBits)) }
    for entry in Self.table where contains(entry.member) {
      let missing = entry.requirements.subtracting(self)
      guard missing.isEmpty else {
        throw EnlightenmentError(.missing(missing, neededBy: entry.member))
      }
    }
  }
}
