public import DeviceKit
internal import Devices
public import GuestMemory
internal import HostSystem
public import HyperVCore
internal import KVM
public import MachineSpecification
internal import Synchronization
internal import ZeroTracker

/// A virtual machine: built from a configuration, run once.
///
/// ```swift
/// let control = MachineControl()
/// var configuration = MachineConfiguration(program: program, memoryByteCount: 64 << 20)
/// configuration.portDevices = [
///   (ExitPort.ports, ExitPort { control.end(with: .exited(status: $0)) })
/// ]
/// let machine = try Machine(configuration, control: control)
/// let outcome = machine.run()
/// ```
///
/// `examples/Sources/whole-machine` is that, whole. Tracking is on before the guest's first
/// instruction, so that whatever the guest writes is known. Safe from any thread; `run()` blocks
/// its caller.
public final class Machine: Sendable {
  /// The identity map and task state pages of Intel's KVM: just below the flash of the firmware
  /// map.
  private static let identityMapAddress: UInt64 = 0xFEFF_C000
  private static let taskStateAddress: UInt64 = 0xFEFF_D000

  /// Guest RAM. Its `tracker` answers what is zero, also during the run.
  public let memory: GuestMemory
  /// Where Hyper-V's MSRs and hypercalls are answered.
  public let transport: HyperVTransport
  /// What the guest finds.
  public let enlightenments: Enlightenments
  /// What was asked for and this host's KVM does not implement, with what needs it.
  public let missingEnlightenments: Enlightenments
  /// What tells which pages the guest wrote; nil if nothing is tracked.
  public let writtenPageSource: WrittenPageSourceKind?

  /// The devices of a PC; nil for a flat program.
  public let computer: PersonalComputer?
  /// Port and memory accesses, with what no device claimed.
  public let ports: PortBus
  /// Devices mapped into memory; accesses that exit and belong to no RAM come here.
  public let mmio: MMIOBus

  let virtualMachine: VirtualMachine
  /// What the guest writes.
  let dirtyLog: DirtyLog
  /// What adds memory.
  let growth: MemoryGrowth
  /// What gives zero pages of huge pages back; nil if nothing does.
  let trimmer: HugePageTrimmer?
  /// Nil where KVM has Hyper-V's registers.
  let userspaceHyperV: UserspaceHyperV?
  /// Whether they are in the kernel.
  let hasInterruptControllers: Bool
  let offersNesting: Bool
  /// Whether a restored program had started its other vCPUs.
  private let startsSecondaries: Bool
  let control: MachineControl
  let runners: [VCPURunner]
  private let trackingEnd: TrackingEnd
  private let onThreadStart: @Sendable (ThreadRole) -> Void
  /// Nil if a crash does not end the run.
  private let secondsAfterCrash: Int?
  private let threads = Mutex<[HostThread]>([])

  /// Builds the machine and loads its program.
  ///
  /// - Parameters:
  ///   - control: what ends the run; one machine each. It may do so while the machine is being
  ///     made.
  ///   - onHypercall: called on the vCPU's thread for every hypercall that reaches this process,
  ///     after the answer and before tracking may stop.
  /// - Throws: `MachineError` with the cure, if the host cannot do what is asked; `.stopped`.
  public init(
    _ configuration: MachineConfiguration, control: MachineControl,
    onHypercall: (@Sendable (HypercallEvent) -> Void)? = nil
  ) throws(MachineError) {
    let vcpuCount = configuration.vcpuCount
    let vcpuCounts = configuration.vcpuCounts
    guard vcpuCounts.contains(vcpuCount) else {
      throw .configuration(
        "\(vcpuCount) vCPUs: \(vcpuCounts.lowerBound) to \(vcpuCounts.upperBound) are possible")
    }
    let system = try kvm { () throws(KVMError) in try KVMSystem() }
    let transport =
      configuration.paravirtualization == .kvm
      ? HyperVTransport.none : try HyperVTransport.choose(configuration.hyperV, on: system)
    let offersNesting = configuration.offersNesting
    let choice = try OfferedEnlightenments(
      configuration.enlightenments, reportsZeroedMemory: configuration.reportsZeroedMemory,
      takesMemoryHints: configuration.takesMemoryHints, offersNesting: offersNesting,
      on: try HyperVHost(transport, on: system, offersNesting: offersNesting))
    let enlightenments = choice.offered
    if configuration.hasVMBus { try Self.checkVMBus(transport, enlightenments, on: system) }
    var parameters = configuration.hyperVParameters
    parameters.offersConnections = configuration.hasVMBus
    let cpuid = try GuestCPUID(
      system: system, transport: transport, enlightenments: enlightenments,
      parameters: parameters, vcpuCount: vcpuCount,
      offersNesting: offersNesting)

    let hasManagement = configuration.image.hasSystemManagement
    if hasManagement {
      try SystemManagement.check(system, memoryByteCount: configuration.memoryByteCount)
    }
    let layout = try VMM.memory { () throws(GuestMemoryError) in
      try GuestMemoryLayout(
        ramByteCount: configuration.memoryByteCount,
        setAsideByteCount: hasManagement ? SystemManagement.byteCount : 0,
        growthByteCount: configuration.growthByteCount)
    }
    try configuration.checkGrowth()
    try configuration.checkTrimming()
    try cpuid.checkAddresses(of: layout)
    let restoration = configuration.restoration
    try restoration?.check(
      MachineKind(
        vcpuCount: vcpuCount, memoryByteCount: layout.ramByteCount, transport: transport,
        enlightenments: enlightenments))
    let guest = try Self.memory(configuration, layout, control)
    let hasInterruptControllers = configuration.needsInterruptControllers(for: enlightenments)
    let machine = try kvm { () throws(KVMError) in try system.makeVirtualMachine() }
    try kvm { () throws(KVMError) in
      try machine.setReservedPages(
        identityMapAddress: Self.identityMapAddress, taskStateAddress: Self.taskStateAddress)
      if hasInterruptControllers { try machine.makeInterruptControllers() }
      if configuration.isPersonalComputer {
        try machine.makeIntervalTimer()
        try machine.setInterruptRoutes(InterruptRoute.personalComputer)
      }
      if transport == .userspace {
        try UserspaceHyperV.prepare(machine)
      } else if enlightenments.contains(.crash) {
        try CrashRegister.prepare(machine)
      }
    }
    let numbers = MemorySlotNumbers()
    let synICPort =
      configuration.hasVMBus
      ? try SynICPort(
        vcpuCount: vcpuCount, source: VMBusHost.interruptSource, memory: guest, machine: machine)
      : nil
    let growth = MemoryGrowth(guest)
    let platform = try Platform(
      configuration, memory: guest, machine: machine, numbers: numbers, control: control,
      busPort: synICPort, growth: growth)
    let bus = platform.computer?.vmbus?.host
    let source = configuration.trackedSource
    let slots = try TrackedSlots(
      registering: guest, with: machine, numbers: numbers, source: source,
      refinement: configuration.refinement, hasSystemManagement: hasManagement)
    growth.connect(slots)
    if let restoration {
      try restoration.addMemory(to: guest, growth)
      try restoration.load(into: guest, control: control)
    } else {
      try platform.boot.load(into: guest)
    }
    try slots.start(guest.tracker)

    let trackingEnd = TrackingEnd(
      // Looking costs nothing until somebody asks: there is nothing to end.
      policy: source == .populated ? .always : configuration.trackingPolicy, memory: guest,
      afterwards: {
        // Write protection split what was huge; KVM joins its own mappings by itself.
        if source == .writeProtect && configuration.usesTransparentHugePages {
          guest.collapseIntoHugePages()
        }
      })
    let trimmer = try Self.trimmer(configuration, guest)
    let service = HypercallService(
      configuration, enlightenments: enlightenments, memory: guest, trimmer: trimmer,
      trackingEnd: trackingEnd, control: control, bus: bus, onHypercall: onHypercall)
    var userspace: UserspaceHyperV?
    var runners: [VCPURunner] = []
    for id in 0..<UInt32(vcpuCount) {
      var vcpu = try kvm { () throws(KVMError) in try machine.makeVCPU(id: id) }
      if transport == .userspace && userspace == nil {
        userspace = UserspaceHyperV(
          enlightenments: enlightenments, clock: try Self.clock(of: vcpu), memory: guest,
          service: service)
      }
      let table = cpuid.table(forVCPU: id)
      try kvm { () throws(KVMError) in
        try vcpu.setCPUID(table)
        if transport == .kernel {
          try vcpu.enable(.hyperVEnforceCPUID, argument: 1)
          if enlightenments.contains(.syntheticInterrupts) { try vcpu.enable(.hyperVSynIC2) }
          if enlightenments.contains(.enlightenedVMCS) { try vcpu.enableEnlightenedVMCS() }
        } else if transport == .userspace {
          vcpu.synchronizeRegisters(system: true)
        }
        // With local APICs in the kernel all but the first would wait for a start-up interrupt,
        // which no flat program sends: `startSecondaryVCPUs` stands for it.
        if platform.computer == nil, hasInterruptControllers { try vcpu.setActivity(.runnable) }
      }
      let restored = try restoration?.enter(vcpu)
      if restored == nil { try platform.boot.enter(vcpu: vcpu) }
      let runner = VCPURunner(
        vcpu: vcpu, platform: platform, endsOnCrash: configuration.endsOnCrash,
        control: control, userspace: userspace, service: service, memory: guest,
        synICPort: synICPort)
      if let restored { runner.restored(restored) }
      runners.append(runner)
    }
    platform.computer?.management?.attach(runners.map(\.kicker))
    if let synICPort, let bus {
      let kickers = runners.map(\.kicker)
      try kvm { () throws(KVMError) in try synICPort.connect(kickers, to: bus) }
    }
    memory = guest
    computer = platform.computer
    ports = platform.ports
    mmio = platform.mmio
    self.transport = transport
    self.enlightenments = enlightenments
    missingEnlightenments = choice.missing
    virtualMachine = machine
    dirtyLog = slots.log
    self.growth = growth
    self.trimmer = trimmer
    userspaceHyperV = userspace
    self.hasInterruptControllers = hasInterruptControllers
    self.offersNesting = offersNesting
    startsSecondaries = restoration?.hasSecondaries ?? false
    self.control = control
    self.runners = runners
    self.trackingEnd = trackingEnd
    onThreadStart = configuration.onThreadStart
    let endsOnCrash = configuration.endsOnCrash && enlightenments.contains(.crash)
    secondsAfterCrash = endsOnCrash ? configuration.secondsAfterCrash : nil
    writtenPageSource = source
    try restoration?.finish(machine, userspace, platform.computer)
  }

  private static func memory(
    _ configuration: MachineConfiguration, _ layout: GuestMemoryLayout, _ control: MachineControl
  ) throws(MachineError) -> GuestMemory {
    do throws(GuestMemoryError) {
      return try GuestMemory(
        layout: layout, backing: configuration.backing,
        preallocated: configuration.isPreallocated,
        transparentHugePages: configuration.usesTransparentHugePages,
        granularity: configuration.granularity
      ) { doneByteCount in
        configuration.onPreallocation(doneByteCount, layout.ramByteCount)
        return !control.isEnding
      }
    } catch {
      throw error == .interrupted ? .stopped : .memory(error)
    }
  }

  /// VMBus needs a synthetic interrupt controller, which is there in the kernel only.
  private static func checkVMBus(
    _ transport: HyperVTransport, _ enlightenments: Enlightenments, on system: KVMSystem
  ) throws(MachineError) {
    guard transport == .kernel, system.has(.hyperVEventFD) else {
      throw .unavailable(
        what: "VMBus needs Hyper-V's interface in the kernel, and this machine's is not there",
        cure: "use a kernel built with CONFIG_KVM_HYPERV, without --hyperv userspace and --paravirt"
          + " kvm, or leave out --vmbus")
    }
    let needed: Enlightenments = [.syntheticInterrupts, .vpIndex]
    guard enlightenments.contains(needed) else {
      throw .configuration(
        "VMBus needs the Hyper-V enlightenments \(needed); add them to --hyperv-features, or leave"
          + " out --vmbus")
    }
  }

  private static func clock(of vcpu: borrowing VCPU) throws(MachineError) -> PartitionClock {
    guard let kilohertz = vcpu.tscKilohertz(),
      PartitionClock.canRepresent(tscFrequencyHertz: kilohertz * 1000)
    else {
      throw .unavailable(
        what: "KVM does not tell the guest's TSC frequency",
        cure: "the reference time needs it; use a host with a stable TSC")
    }
    // KVM's local APIC timer counts a 1 GHz bus.
    return PartitionClock(
      tscFrequencyHertz: kilohertz * 1000, apicFrequencyHertz: 1_000_000_000)
  }

  /// Runs the machine to its end. Once.
  ///
  /// All its threads are made here, and what they will need is open before they run: see
  /// `ThreadRole`.
  public func run() -> MachineOutcome {
    let secondariesStart: Event
    do throws(MachineError) {
      secondariesStart = try Event.ofMachine()
    } catch {
      return .failed(error)
    }
    // In a PC all begin at once: the others wait for start-up interrupts inside KVM_RUN.
    let late = computer == nil ? runners.dropFirst().map(\.id) : []
    control.gate.begin(runners.map(\.id).filter { !late.contains($0) })
    control.attach(
      startSecondaries: { [control] in
        for id in late { control.gate.enter(id) }
        secondariesStart.raise()
      },
      interruptAll: { [self] in for runner in runners { runner.kicker.kick() } })
    if startsSecondaries { control.startSecondaryVCPUs() }
    // It may have ended before there was anybody to interrupt.
    if let outcome = control.outcome { control.end(with: outcome) }
    let startService: @Sendable () -> Void = { [onThreadStart] in onThreadStart(.service) }
    if enlightenments.contains(.bootZeroedMemory) {
      memory.prepareInspection()
      trackingEnd.prepare(onThreadStart: startService)
    }
    let crashWatch =
      secondsAfterCrash.flatMap { seconds in
        CrashWatch(control: control, seconds: seconds, onThreadStart: startService)
      }
    if let computer {
      do {
        try computer.start()
      } catch {
        control.end(with: .failed(error))
      }
    }
    for runner in runners { start(runner, when: late.contains(runner.id) ? secondariesStart : nil) }
    for thread in threads.withLock({ $0 }) { thread.join() }
    computer?.stop()
    control.detach()
    trackingEnd.cancel()
    crashWatch?.cancel()
    return control.outcome ?? .stopped
  }

  private func start(_ runner: VCPURunner, when begins: Event?) {
    do throws(HostThread.Failure) {
      let thread = try HostThread { [onThreadStart] in
        onThreadStart(.vcpu)
        while let begins, !begins.wait(seconds: 3600) {}
        runner.run()
      }
      threads.withLock { $0.append(thread) }
    } catch {
      control.gate.leave(runner.id)
      control.end(
        with: .failed(
          .unavailable(
            what: "cannot start a vCPU's thread: \(Errno(error.code))",
            cure: "raise the limit of processes (ulimit -u) or use fewer vCPUs")))
    }
  }

  /// KVM's counters of the machine, by the kernel's names; `pages_2m` is how many 2 MiB mappings
  /// the guest has now. Any thread, also after the run. Source: KVM API, KVM_GET_STATS_FD.
  public func kvmStatistics() throws(MachineError) -> [String: UInt64] {
    try kvm { () throws(KVMError) in try virtualMachine.statistics() }
  }

  /// The exits of each vCPU so far, by the raw values of `ExitKind`. Any thread, also after the
  /// run; no vCPU notices.
  public var exitCounts: [[UInt64]] {
    runners.map(\.counts.values)
  }

  /// The threads that run vCPUs, in the order of the vCPUs that started; for reading their times.
  public var vcpuThreadIDs: [Int32] {
    runners.compactMap(\.kicker.threadID)
  }
}
