internal import Bytes
internal import DeviceKit
internal import Devices
internal import GuestMemory
internal import HyperVCore
internal import KVM

/// Runs one vCPU on one thread: enters the guest, and answers its exits.
final class VCPURunner: @unchecked Sendable {
  // Sendable: `vcpu` is used by the thread that builds the machine until the runner's own thread
  // starts, and by that thread alone afterwards.
  /// Nil while `run` has it, as a local variable, which has no dynamic exclusivity checks.
  private var vcpu: VCPU?
  /// KVM_SYSTEM_EVENT_RESET.
  private static let resetEvent: UInt32 = 2
  let id: UInt32
  let kicker: VCPUKicker
  /// Written by the runner's thread.
  let counts = ExitCounts()
  private let ports: PortBus
  private let mmio: MMIOBus
  private let managementMMIO: MMIOBus
  private let management: SystemManagement?
  /// Which system management interrupt this vCPU had last. Used by the runner's thread alone.
  private var lastManagementInterrupt: UInt64 = 0
  private let endsOnCrash: Bool
  private let control: MachineControl
  private let userspace: UserspaceHyperV?
  private let service: HypercallService
  private let memory: GuestMemory
  /// Used by the runner's thread alone, as `vcpu` is.
  private let synICPages: SynICPages
  /// Nil without VMBus.
  private let synICPort: SynICPort?
  private let synICProcessor: SynICPort.Processor?

  init(
    vcpu: consuming VCPU, platform: Platform, endsOnCrash: Bool, control: MachineControl,
    userspace: UserspaceHyperV?, service: HypercallService, memory: GuestMemory,
    synICPort: SynICPort?
  ) {
    id = vcpu.id
    kicker = vcpu.kicker
    synICProcessor = synICPort?.processor(vcpu.id)
    self.vcpu = consume vcpu
    ports = platform.ports
    mmio = platform.mmio
    managementMMIO = platform.managementMMIO
    management = platform.computer?.management
    self.endsOnCrash = endsOnCrash
    self.control = control
    self.userspace = userspace
    self.service = service
    self.memory = memory
    synICPages = SynICPages(memory: memory)
    self.synICPort = synICPort
  }

  /// The vCPU is one that was saved; before it runs.
  func restored(_ state: VCPUState) {
    func value(_ msr: SyntheticMSR) -> UInt64 {
      state.msrs.first { $0.index == msr.rawValue }?.value ?? 0
    }
    synICPages.restore(eventPage: value(.siefp), messagePage: value(.simp))
    synICPort?.setPages(of: id, eventPage: value(.siefp), messagePage: value(.simp))
  }

  /// The thread's body: until the run ends. `PauseGate.enter` comes before it.
  func run() {
    guard var vcpu = vcpu.take() else { preconditionFailure("a vCPU run twice at once") }
    vcpu.bindToCurrentThread()
    defer { control.gate.leave(id) }
    do throws(KVMError) {
      while !control.isEnding {
        switch control.gate.pass(id, snapshot: { try? VCPUSnapshot(of: vcpu, with: $0) }) {
        case .open:
          if synICProcessor?.hasMail == true { synICPort?.deliver(to: id) }
          try handle(try vcpu.run(), of: &vcpu)
        case .closed: break
        case .delivers(let parts): control.gate.deliver(id, state(of: &vcpu, parts))
        }
      }
    } catch {
      control.end(with: .failed(.kvm(error)))
    }
    self.vcpu = consume vcpu
  }

  /// What the vCPU is, when the last exit has been carried out to its end; empty if nothing is
  /// wanted.
  private func state(
    of vcpu: inout VCPU, _ parts: VCPUStateParts?
  ) -> Result<VCPUState, KVMError> {
    do throws(KVMError) {
      if let management { try interrupt(vcpu, by: management) }
      // A string of accesses goes on with the next one.
      while let exit = try vcpu.finishPendingExit() {
        try handle(exit, of: &vcpu)
        if control.isEnding { break }
      }
      guard let parts else { return .success(VCPUState()) }
      return .success(try vcpu.state(parts))
    } catch {
      return .failure(error)
    }
  }

  private func handle(_ exit: VCPUExit, of vcpu: inout VCPU) throws(KVMError) {
    switch exit {
    case .portOut(let access): try write(access, of: &vcpu)
    case .portIn(let access) where access.count == 1:
      counts.count(.portRead)
      vcpu.completePortInput(value: ports.read(port: access.port, width: access.width))
    case .portIn(let access):
      counts.count(.portRead)
      readString(access, of: vcpu)
    case .memoryRead(let address, let byteCount):
      counts.count(.memoryRead)
      vcpu.completeMemoryRead(memory(of: vcpu).read(address: address, width: byteCount))
    case .memoryWrite(let address, let byteCount, let value):
      counts.count(.memoryWrite)
      memory(of: vcpu).write(address: address, width: byteCount, value: value)
    case .readMSR(let index):
      counts.count(.msrRead)
      try readMSR(index, of: vcpu)
    case .writeMSR(let index, let value):
      counts.count(.msrWrite)
      try writeMSR(index, value, of: vcpu)
    case .hyperVHypercall(let input, let inputAddress, let outputAddress):
      counts.count(.hypercall)
      let request = HypercallRequest(
        input: HypercallInput(passedOnByKVM: input),
        inputAddress: GuestAddress(rawValue: inputAddress),
        outputAddress: GuestAddress(rawValue: outputAddress))
      vcpu.completeHypercall(service.answer(request, vcpuID: vcpu.id).rawValue)
    case .hyperVSynIC(let msr, let eventPage, let messagePage):
      counts.count(.other)
      synICPages.change(msr: msr, eventPage: eventPage, messagePage: messagePage)
      // After the clearing: what is written before would be lost.
      synICPort?.setPages(of: vcpu.id, eventPage: eventPage, messagePage: messagePage)
    case .interrupted:
      counts.count(.interruption)
      // Whatever asks a vCPU to leave the guest says so before it kicks, and is looked at before
      // the next run: a kick that came too late for that must not outlive it.
      vcpu.clearKick()
      if let management { try interrupt(vcpu, by: management) }
    case .halt, .shutdown, .systemEvent, .internalError, .failedEntry, .unknown:
      control.end(with: try outcome(of: exit, of: vcpu))
    }
  }

  /// What the vCPU's accesses to memory reach that is no RAM.
  private func memory(of vcpu: borrowing VCPU) -> MMIOBus {
    vcpu.isInSystemManagementMode ? managementMMIO : mmio
  }

  private func interrupt(
    _ vcpu: borrowing VCPU, by management: SystemManagement
  ) throws(KVMError) {
    let count = management.interruptCount
    guard count != lastManagementInterrupt else { return }
    lastManagementInterrupt = count
    try vcpu.interruptForSystemManagement()
  }

  private func write(_ access: PortAccess, of vcpu: inout VCPU) throws(KVMError) {
    // No `if let`, which would retain and release it for each hypercall.
    if access.port == UInt16(UserspaceHyperV.hypercallPort),
      try userspace?.answerHypercall(vcpu: &vcpu) != nil
    {
      return counts.count(.hypercall)
    }
    counts.count(.portWrite)
    // Each byte for a serial port comes this way: no allocation.
    if access.count == 1 {
      return ports.write(
        port: access.port, width: access.width, value: vcpu.portOutputValue())
    }
    writeString(access, of: vcpu)
  }

  private func writeString(_ access: PortAccess, of vcpu: borrowing VCPU) {
    let bytes = vcpu.portOutput()
    for item in 0..<access.count {
      guard let value = bytes.loadLE(at: item * access.width, byteCount: access.width) else {
        return
      }
      ports.write(
        port: access.port, width: access.width, value: UInt32(truncatingIfNeeded: value))
    }
  }

  private func readString(_ access: PortAccess, of vcpu: borrowing VCPU) {
    var bytes: [UInt8] = []
    for _ in 0..<access.count {
      let value = ports.read(port: access.port, width: access.width)
      bytes += value.littleEndianBytes.prefix(access.width)
    }
    vcpu.completePortInput(bytes)
  }

  private func readMSR(_ index: UInt32, of vcpu: borrowing VCPU) throws(KVMError) {
    guard let userspace else {
      return vcpu.completeMSRRead(index == CrashRegister.index ? CrashRegister.readValue : nil)
    }
    vcpu.completeMSRRead(try userspace.readMSR(index, vcpu: vcpu))
  }

  private func writeMSR(
    _ index: UInt32, _ value: UInt64, of vcpu: borrowing VCPU
  ) throws(KVMError) {
    guard let userspace else {
      vcpu.completeMSRWrite(fault: index != CrashRegister.index)
      if endsOnCrash, index == CrashRegister.index,
        let crash = try CrashRegister.report(value, of: vcpu, in: memory)
      {
        control.note(crash)
      }
      return
    }
    let effects = try userspace.writeMSR(index, value: value, vcpu: vcpu)
    vcpu.completeMSRWrite(fault: effects == nil)
    for effect in effects ?? [] {
      switch effect {
      case .reset: control.end(with: .reset)
      case .guestCrashed(let report) where endsOnCrash:
        control.note(
          GuestCrash(report, identity: userspace.guestIdentity, vcpuID: vcpu.id, in: memory))
      case .guestCrashed: break
      case .hypercallPageEnabled, .hypercallPageDisabled, .referenceTSCPageEnabled,
        .vpAssistPageEnabled:
        break
      }
    }
  }

  /// What an exit that nothing can answer makes of the run.
  private func outcome(
    of exit: VCPUExit, of vcpu: borrowing VCPU
  ) throws(KVMError) -> MachineOutcome {
    let instructionPointer = try vcpu.generalRegisters().rip
    let place = "vCPU \(vcpu.id) at RIP 0x" + String(instructionPointer, radix: 16)
    switch exit {
    case .shutdown:
      return .tripleFault(vcpuID: vcpu.id, instructionPointer: instructionPointer)
    case .halt:
      return .failed(.guest("\(place) halted for good: nothing can interrupt it"))
    case .systemEvent(let type):
      switch type {
      case Self.resetEvent: return .reset
      default: return .failed(.guest("\(place): system event \(type)"))
      }
    case .internalError(let subError):
      let words = vcpu.internalErrorData().map { "0x" + String($0, radix: 16) }.joined(
        separator: " ")
      return .failed(
        .guest("\(place): KVM cannot go on (KVM_INTERNAL_ERROR \(subError)) \(words)"))
    case .failedEntry(let reason):
      return .failed(
        .guest("\(place): the processor refused the guest, 0x\(String(reason, radix: 16))"))
    default:
      return .failed(.guest("\(place): unexpected exit \(exit)"))
    }
  }
}

extension HypercallInput {
  /// As KVM passes it on: of 0x005D in memory it has read the input, so that the address is the
  /// value, as in a fast call.
  fileprivate init(passedOnByKVM rawValue: UInt64) {
    let input = HypercallInput(rawValue: rawValue)
    self = input.callCode == .signalEvent ? input.fast : input
  }
}
