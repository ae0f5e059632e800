/// The synthetic MSRs of a partition, for a VMM that handles them itself.
///
/// Meant for a KVM without its own Hyper-V code, where accesses to ``SyntheticMSR/range`` exit to
/// the VMM. The partition's state is here, and VP_ASSIST_PAGE of each VP; what else belongs to a
/// vCPU comes with each access. A value with mutating methods: vCPUs share it, so the owner keeps
/// it under a lock.
///
/// An MSR whose enlightenment is off does not exist, which a guest notices as #GP.
///
/// Source: TLFS, Hypercall Interface, Timers and Partition Properties.
public struct SyntheticMSRs: Sendable {
  /// The enlightenments that can be had from these registers and ``HypercallDispatcher`` alone.
  ///
  /// Missing are those that live in the local APIC or interrupt and flush other vCPUs: a VMM on
  /// this transport takes the intersection, so that CPUID promises nothing that faults.
  public static let servedEnlightenments: Enlightenments = [
    .relaxedTiming, .vpIndex, .vpRuntime, .crash, .time, .reset, .frequencies,
    .extendedHypercalls, .bootZeroedMemory, .memoryHeatHint,
  ]

  /// What the partition offers; ``servedEnlightenments`` at most have registers here.
  public let enlightenments: Enlightenments

  /// The partition's clock.
  public let clock: PartitionClock

  /// GUEST_OS_ID; 0 until the guest has written it.
  public private(set) var guestOSID: UInt64 = 0

  /// HYPERCALL as it reads.
  public private(set) var hypercall = OverlayPageMSR(rawValue: 0)

  /// REFERENCE_TSC as it reads.
  public private(set) var referenceTSC = OverlayPageMSR(rawValue: 0)

  /// VP_ASSIST_PAGE of the VPs that have written theirs. A list, as a machine has a few dozen at
  /// most.
  private var vpAssistPages: [(vpIndex: UInt32, register: OverlayPageMSR)] = []

  /// CRASH_P0 to CRASH_P4.
  public private(set) var crashParameters: [UInt64] = [0, 0, 0, 0, 0]

  /// Makes the registers as they are after reset.
  public init(enlightenments: Enlightenments, clock: PartitionClock) {
    self.enlightenments = enlightenments
    self.clock = clock
  }

  /// Whether the hypercall page is in place.
  public var isHypercallPageEnabled: Bool { hypercall.isEnabled }

  /// The hypercall page's GPN; nil while it is not enabled.
  public var hypercallPage: UInt64? { hypercall.enabledPage }

  /// What belongs into the reference TSC page.
  public var referenceTSCPage: ReferenceTSCPage { ReferenceTSCPage(clock: clock) }

  /// Puts every register back, the lock of HYPERCALL included, as a machine reset does.
  public mutating func reset() {
    self = SyntheticMSRs(enlightenments: enlightenments, clock: clock)
  }

  /// What the guest has written: with ``clock`` and ``enlightenments`` all that they are.
  public struct Contents: Hashable, Sendable {
    /// GUEST_OS_ID.
    public var guestOSID: UInt64 = 0
    /// HYPERCALL and REFERENCE_TSC as they read.
    public var hypercall: UInt64 = 0
    public var referenceTSC: UInt64 = 0
    /// VP_ASSIST_PAGE of the VPs that have written theirs.
    public var vpAssistPages: [VPAssistPage] = []
    /// CRASH_P0 to CRASH_P4: five.
    public var crashParameters: [UInt64] = [0, 0, 0, 0, 0]

    /// VP_ASSIST_PAGE of one VP, as it reads.
    public struct VPAssistPage: Hashable, Sendable {
      public var vpIndex: UInt32
      public var register: UInt64

      public init(vpIndex: UInt32, register: UInt64) {
        self.vpIndex = vpIndex
        self.register = register
      }
    }

    /// As after reset.
    public init() {}
  }

  /// What the guest has written, for a machine that is saved.
  public var contents: Contents {
    var contents = Contents()
    contents.guestOSID = guestOSID
    contents.hypercall = hypercall.rawValue
    contents.referenceTSC = referenceTSC.rawValue
    contents.vpAssistPages = vpAssistPages.map {
      Contents.VPAssistPage(vpIndex: $0.vpIndex, register: $0.register.rawValue)
    }
    contents.crashParameters = crashParameters
    return contents
  }

  /// Takes over what a guest had written, and asks for nothing: overlay pages are in its memory.
  ///
  /// Any values are accepted; crash parameters are the first five, and zero where there are fewer.
  public mutating func restore(_ contents: Contents) {
    reset()
    guestOSID = contents.guestOSID
    hypercall = OverlayPageMSR(rawValue: contents.hypercall)
    referenceTSC = OverlayPageMSR(rawValue: contents.referenceTSC)
    vpAssistPages = contents.vpAssistPages.map {
      ($0.vpIndex, OverlayPageMSR(rawValue: $0.register))
    }
    for (index, value) in contents.crashParameters.prefix(5).enumerated() {
      crashParameters[index] = value
    }
  }

  /// RDMSR by a guest.
  public mutating func read(
    _ msr: SyntheticMSR, context: VirtualProcessorContext
  ) -> MSRReadOutcome {
    guard isPresent(msr) else { return .fault }
    switch msr {
    case .guestOSID: return .value(guestOSID)
    case .hypercall: return .value(hypercall.rawValue)
    case .vpIndex: return .value(UInt64(context.vpIndex))
    case .reset: return .value(0)
    case .vpRuntime: return .value(context.runTime)
    case .vpAssistPage:
      let own = vpAssistPages.first { $0.vpIndex == context.vpIndex }
      return .value(own?.register.rawValue ?? 0)
    case .timeReferenceCount: return .value(clock.referenceTime(context.timestampCounter))
    case .referenceTSC: return .value(referenceTSC.rawValue)
    case .tscFrequency: return .value(clock.tscFrequencyHertz)
    case .apicFrequency: return .value(clock.apicFrequencyHertz)
    // Says what a write can do, not what was written.
    case .crashControl: return .value(CrashReport.notifyBit | CrashReport.messageBit)
    default:
      guard let index = Self.crashParameterIndex(msr) else { return .fault }
      return .value(crashParameters[index])
    }
  }

  /// WRMSR by a guest, of any value.
  public mutating func write(
    _ msr: SyntheticMSR, value: UInt64, context: VirtualProcessorContext
  ) -> MSRWriteOutcome {
    guard isPresent(msr) else { return .fault }
    switch msr {
    case .guestOSID: return writeGuestOSID(value)
    case .hypercall: return writeHypercall(OverlayPageMSR(rawValue: value), context: context)
    case .referenceTSC: return writeReferenceTSC(OverlayPageMSR(rawValue: value), context: context)
    case .vpAssistPage: return writeVPAssistPage(OverlayPageMSR(rawValue: value), context: context)
    // The other bits are reserved and mean nothing, set or not.
    case .reset: return .done(value & 1 != 0 ? [.reset] : [])
    case .crashControl:
      let report = CrashReport(parameters: crashParameters, control: value)
      return .done(report.notifies ? [.guestCrashed(report)] : [])
    default:
      // VP_INDEX, VP_RUNTIME, TIME_REF_COUNT and the frequencies are read-only.
      guard let index = Self.crashParameterIndex(msr) else { return .fault }
      crashParameters[index] = value
      return .done([])
    }
  }

  private mutating func writeGuestOSID(_ value: UInt64) -> MSRWriteOutcome {
    guestOSID = value
    // Without an identity the page goes. A locked register keeps even its Enable bit, which does no
    // harm: no call is admitted while the identity is 0.
    guard value == 0, hypercall.isEnabled, !hypercall.isLocked else { return .done([]) }
    hypercall.isEnabled = false
    return .done([.hypercallPageDisabled])
  }

  private mutating func writeHypercall(
    _ written: OverlayPageMSR, context: VirtualProcessorContext
  ) -> MSRWriteOutcome {
    // The TLFS does not say whether writing a locked register faults. Ignoring the write keeps the
    // promise without bringing down a guest that shuts its interface off before a kexec.
    guard !hypercall.isLocked else { return .done([]) }
    var value = written
    if guestOSID == 0 { value.isEnabled = false }
    // Only an enabled page needs a place; a disabled register may hold any number.
    if let page = value.enabledPage, !context.isPageInRAM(page) { return .fault }
    let previous = hypercall.enabledPage
    hypercall = value
    guard previous != value.enabledPage else { return .done([]) }
    var effects: [MSREffect] = previous == nil ? [] : [.hypercallPageDisabled]
    if let page = value.enabledPage { effects.append(.hypercallPageEnabled(page)) }
    return .done(effects)
  }

  private mutating func writeReferenceTSC(
    _ written: OverlayPageMSR, context: VirtualProcessorContext
  ) -> MSRWriteOutcome {
    referenceTSC = written
    // A page that is not RAM is no fault here: the guest finds no valid sequence and reads the MSR.
    guard let page = written.enabledPage, context.isPageInRAM(page) else { return .done([]) }
    return .done([.referenceTSCPageEnabled(page)])
  }

  private mutating func writeVPAssistPage(
    _ written: OverlayPageMSR, context: VirtualProcessorContext
  ) -> MSRWriteOutcome {
    if let page = written.enabledPage, !context.isPageInRAM(page) { return .fault }
    if let index = vpAssistPages.firstIndex(where: { $0.vpIndex == context.vpIndex }) {
      vpAssistPages[index].register = written
    } else {
      vpAssistPages.append((context.vpIndex, written))
    }
    return .done(written.enabledPage.map { [.vpAssistPageEnabled($0)] } ?? [])
  }

  /// Whether the partition has the register at all.
  private func isPresent(_ msr: SyntheticMSR) -> Bool {
    switch msr {
    // No privilege is about the last: AccessIntrCtrlRegs is for EOI, ICR and TPR. Linux writes it
    // without having looked at any.
    case .guestOSID, .hypercall, .vpAssistPage: !enlightenments.isEmpty
    case .vpIndex: enlightenments.contains(.vpIndex)
    case .reset: enlightenments.contains(.reset)
    case .vpRuntime: enlightenments.contains(.vpRuntime)
    case .timeReferenceCount, .referenceTSC: enlightenments.contains(.time)
    case .tscFrequency, .apicFrequency: enlightenments.contains(.frequencies)
    case .crashP0, .crashP1, .crashP2, .crashP3, .crashP4, .crashControl:
      enlightenments.contains(.crash)
    default: false
    }
  }

  private static func crashParameterIndex(_ msr: SyntheticMSR) -> Int? {
    switch msr {
    case .crashP0: 0
    case .crashP1: 1
    case .crashP2: 2
    case .crashP3: 3
    case .crashP4: 4
    default: nil
    }
  }
}

/// What RDMSR of a synthetic MSR does.
public enum MSRReadOutcome: Hashable, Sendable {
  /// The value for EDX:EAX.
  case value(UInt64)
  /// #GP: no such register here, or it is write-only.
  case fault
}

/// What WRMSR of a synthetic MSR does.
public enum MSRWriteOutcome: Hashable, Sendable {
  /// The register took the value, or ignored it; what the VMM has yet to do, in order.
  case done([MSREffect])
  /// #GP: no such register here, it is read-only, or the value is not legal. Nothing changed.
  case fault
}

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
