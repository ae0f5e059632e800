internal import HyperVCore

/// Streams of synthetic MSR accesses by several vCPUs, with a reset now and then.
final class SyntheticMSRTarget: FuzzTarget {
  static let name = "synthetic-msr"
  static let maximumInputByteCount = 512

  /// RAM is this many pages from 0 on.
  private static let ramPageCount: UInt64 = 0x100
  private static let readOnly: [SyntheticMSR] = [
    .vpIndex, .vpRuntime, .timeReferenceCount, .tscFrequency, .apicFrequency,
  ]
  private static let known: [SyntheticMSR] =
    readOnly + [
      .guestOSID, .hypercall, .reset, .referenceTSC, .vpAssistPage, .crashP0, .crashP1, .crashP2,
      .crashP3,
      .crashP4, .crashControl, .guestOSID, .hypercall,
    ]

  init() {}

  func run(_ input: FuzzInput) {
    let frequency = PartitionClock.referenceFrequencyHertz + 1 + UInt64(input.uint32)
    let clock = PartitionClock(
      tscFrequencyHertz: frequency, apicFrequencyHertz: 1_000_000_000,
      creationTSC: input.anyMagnitude)
    var registers = SyntheticMSRs(
      enlightenments: Enlightenments(rawValue: UInt64(input.uint16)), clock: clock)
    while !input.isEmpty {
      let action = input.byte
      let msr =
        action & 0x80 == 0
        ? input.pick(Self.known) : SyntheticMSR(rawValue: 0x4000_0000 + UInt32(input.uint16))
      let context = VirtualProcessorContext(
        vpIndex: UInt32(action & 3), timestampCounter: UInt64(action) << 40, runTime: 7,
        ramPageCount: Self.ramPageCount)
      switch action & 7 {
      case 0...3: write(msr, Self.value(input), context, &registers)
      case 4...5: Self.checkReads(msr, context, &registers)
      case 6: Self.checkAdmission(registers, input)
      default:
        guard input.byte == 0 else { continue }
        registers.reset()
        require(registers.hypercall.rawValue == 0 && registers.guestOSID == 0, "after a reset")
      }
      Self.checkState(registers)
    }
  }

  /// Often a page in or near RAM with the low bits of an overlay page's register.
  private static func value(_ input: FuzzInput) -> UInt64 {
    let choice = input.byte
    guard choice & 1 == 0 else { return input.uint64 }
    return UInt64(input.uint16 & 0x1FF) << 12 | UInt64(choice >> 1 & 7)
  }

  private func write(
    _ msr: SyntheticMSR, _ value: UInt64, _ context: VirtualProcessorContext,
    _ registers: inout SyntheticMSRs
  ) {
    let before = registers
    let isThere = registers.read(msr, context: context) != .fault
    let outcome = registers.write(msr, value: value, context: context)
    guard case .done(let effects) = outcome else {
      require(
        registers.hypercall == before.hypercall && registers.guestOSID == before.guestOSID
          && registers.referenceTSC == before.referenceTSC
          && registers.crashParameters == before.crashParameters, "a fault that changed \(msr)")
      return
    }
    require(isThere, "\(msr) takes writes and no reads")
    require(!Self.readOnly.contains(msr), "\(msr) takes writes")
    if before.hypercall.isLocked {
      require(registers.hypercall == before.hypercall, "a locked register changed")
    }
    for effect in effects { Self.check(effect, of: msr, value, before, registers) }
    let read = registers.read(msr, context: context)
    switch msr {
    case .guestOSID, .referenceTSC, .vpAssistPage, .crashP0, .crashP1, .crashP2, .crashP3, .crashP4:
      require(read == .value(value), "\(msr) reads \(read) after \(value)")
    case .hypercall where !before.hypercall.isLocked:
      let expected = before.guestOSID == 0 ? value & ~1 : value
      require(read == .value(expected), "\(msr) reads \(read) after \(value)")
    default: break
    }
  }

  private static func check(
    _ effect: MSREffect, of msr: SyntheticMSR, _ value: UInt64, _ before: SyntheticMSRs,
    _ now: SyntheticMSRs
  ) {
    switch effect {
    case .hypercallPageEnabled(let page):
      require(page < ramPageCount && now.hypercallPage == page, "hypercall page \(page)")
    case .hypercallPageDisabled:
      require(before.isHypercallPageEnabled, "disabled and was not enabled")
    case .referenceTSCPageEnabled(let page):
      require(page < ramPageCount && now.referenceTSC.enabledPage == page, "TSC page \(page)")
    case .vpAssistPageEnabled(let page):
      require(
        page < ramPageCount && msr == .vpAssistPage && value >> 12 == page, "assist page \(page)")
    case .reset:
      require(msr == .reset && value & 1 == 1, "reset by \(msr)")
    case .guestCrashed(let report):
      require(msr == .crashControl && report.notifies, "crash by \(msr)")
      guard let message = report.message else { return }
      require((1...4096).contains(message.byteCount), "a message of \(message.byteCount) bytes")
      require(
        !message.address.rawValue.addingReportingOverflow(UInt64(message.byteCount - 1)).overflow,
        "a message past the last address")
    }
  }

  private static func checkReads(
    _ msr: SyntheticMSR, _ context: VirtualProcessorContext, _ registers: inout SyntheticMSRs
  ) {
    let outcome = registers.read(msr, context: context)
    require(outcome == registers.read(msr, context: context), "\(msr) reads two values")
    guard case .value(let value) = outcome else { return }
    require(!registers.enlightenments.isEmpty, "\(msr) without enlightenments")
    switch msr {
    case .vpIndex: require(value == UInt64(context.vpIndex), "\(msr) reads \(value)")
    case .timeReferenceCount:
      // What a guest computes from the reference TSC page.
      let page = registers.referenceTSCPage
      let product = context.timestampCounter.multipliedFullWidth(by: page.scale).high
      require(value == product &+ UInt64(bitPattern: page.offset), "\(msr) reads \(value)")
    default: break
    }
  }

  private static func checkAdmission(_ registers: SyntheticMSRs, _ input: FuzzInput) {
    let flags = input.byte
    let address = GuestAddress(
      rawValue: UInt64(input.byte) << 12 | (flags & 8 == 0 ? 0 : UInt64(input.byte)))
    let admission = registers.admitsHypercall(
      isProtectedMode: flags & 1 == 1, privilegeLevel: Int(flags >> 1 & 3),
      instructionAddress: flags & 16 == 0 ? address : nil)
    guard admission == .accept else { return }
    require(flags & 0b10111 == 1, "a hypercall from where none may come: \(flags)")
    require(registers.guestOSID != 0, "a hypercall of a guest without identity")
    require(
      registers.hypercallPage == address.rawValue >> 12 && address.rawValue % 4096 == 0,
      "a hypercall from \(address)")
  }

  private static func checkState(_ registers: SyntheticMSRs) {
    require(
      registers.hypercallPage.map { $0 < ramPageCount } ?? true,
      "hypercall page \(String(describing: registers.hypercallPage))")
    if registers.guestOSID == 0, registers.isHypercallPageEnabled {
      require(registers.hypercall.isLocked, "a page of a guest without identity")
    }
    require(registers.crashParameters.count == 5, "\(registers.crashParameters)")
  }
}
