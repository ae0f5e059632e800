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

  /// Every enlightenment.
  public static let all = Enlightenments(rawValue: (1 << 14) - 1)

  /// The single enlightenments in this set, in the stable order of ``names``; unknown bits are left out.
  public var members: [Enlightenments] {
    Self.table.lazy.map(\.member).filter { contains($0) }
  }

  /// The bits in this set that are no enlightenment.
  public var unknownBits: UInt64 { rawValue & ~Self.all.rawValue }
}
