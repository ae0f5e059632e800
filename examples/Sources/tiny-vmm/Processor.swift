import DeviceKit
import GuestMemory
import HyperVCore
import KVM

/// Runs the vCPU until it halts, and answers its exits.
struct Processor: Sendable {
  static let enlightenments: Enlightenments = [.extendedHypercalls, .bootZeroedMemory]
  /// The hypercall page ends in an `out` to this port.
  private static let hypercallPort: UInt8 = 0xEE

  private let memory: HypercallRAM
  private let ports: PortBus
  private let hypercalls: HypercallDispatcher
  private var registers: SyntheticMSRs

  init(memory: GuestMemory, ports: PortBus, tscKilohertz: UInt64?) {
    self.memory = HypercallRAM(guest: memory)
    self.ports = ports
    let tracker = memory.tracker
    hypercalls = HypercallDispatcher(
      enlightenments: Self.enlightenments,
      calls: [GetBootZeroedMemory { tracker.zeroedPages(replyPage: $0) }])
    registers = SyntheticMSRs(
      enlightenments: Self.enlightenments,
      clock: PartitionClock(
        tscFrequencyHertz: (tscKilohertz ?? 1_000_000) * 1000, apicFrequencyHertz: 1_000_000_000))
  }

  mutating func run(_ vcpu: inout VCPU) throws {
    while true {
      switch try vcpu.run() {
      case .halt: return
      case .interrupted: vcpu.clearKick()
      case .portOut(let access) where access.port == UInt16(Self.hypercallPort):
        try answerHypercall(of: &vcpu)
      case .portOut(let access):
        ports.write(port: access.port, width: access.width, value: vcpu.portOutputValue())
      case .portIn(let access) where access.count == 1:
        vcpu.completePortInput(value: ports.read(port: access.port, width: access.width))
      case .readMSR(let index):
        switch registers.read(SyntheticMSR(rawValue: index), context: context) {
        case .value(let value): vcpu.completeMSRRead(value)
        case .fault: vcpu.completeMSRRead(nil)
        }
      case .writeMSR(let index, let value):
        try writeMSR(SyntheticMSR(rawValue: index), value, of: vcpu)
      case let exit: throw Unexpected(what: "exit \(exit)")
      }
    }
  }

  private var context: VirtualProcessorContext {
    VirtualProcessorContext(
      vpIndex: 0, timestampCounter: 0, runTime: 0,
      isPageInRAM: { [memory] in memory.guest.isRAM(GPA($0 << 12), byteCount: 4096) })
  }

  private mutating func writeMSR(
    _ msr: SyntheticMSR, _ value: UInt64, of vcpu: borrowing VCPU
  ) throws {
    guard case .done(let effects) = registers.write(msr, value: value, context: context) else {
      return vcpu.completeMSRWrite(fault: true)
    }
    for case .hypercallPageEnabled(let page) in effects {
      try memory.guest.write(HypercallPage.code(port: Self.hypercallPort), at: GPA(page << 12))
    }
    vcpu.completeMSRWrite(fault: false)
  }

  private func answerHypercall(of vcpu: inout VCPU) throws {
    let mode = try vcpu.processorMode()
    let general = try vcpu.argumentRegisters()
    // Without paging RIP is the GPA. KVM leaves it on the `out` or behind it.
    let length = UInt64(HypercallPage.instructionByteCount)
    let start = general.rip % 4096 == length ? general.rip - length : general.rip
    let admission = registers.admitsHypercall(
      isProtectedMode: mode.isProtected, privilegeLevel: Int(mode.privilegeLevel),
      instructionAddress: GuestAddress(rawValue: start))
    guard case .accept = admission else { throw Unexpected(what: "hypercall: \(admission)") }
    let convention = HypercallConvention(
      isLongModeActive: mode.isLongModeActive, isCodeSegment64Bit: mode.isCodeSegment64Bit)
    var values = HypercallRegisters(
      rax: general.rax, rbx: general.rbx, rcx: general.rcx, rdx: general.rdx, rsi: general.rsi,
      rdi: general.rdi, r8: general.r8)
    let result = hypercalls.answer(convention.request(from: values), memory: memory)
    convention.setResult(result, in: &values)
    try vcpu.setResultRegisters(rax: values.rax, rdx: values.rdx)
  }
}

/// What this VMM has no answer for: it ends the run. (A real one raises #UD for a hypercall that is
/// not admitted.)
struct Unexpected: Error, CustomStringConvertible {
  let what: String
  var description: String { "unexpected \(what)" }
}
