import Devices
import GuestMemory
import HyperVCore
import MachineSpecification
import Testing

@testable import VMM

/// What a guest says by the crash registers, and what it may do afterwards.
@Suite(
  .enabled(if: Host.hasKVM, "needs read-write /dev/kvm"), .serialized, .timeLimit(.minutes(10)))
struct CrashTests {
  private static let message = Array("Kernel panic - not syncing: \u{1B}[2J\nend".utf8)
  private static let messageAddress: UInt64 = 0x50_0000
  private static let afterwards: UInt64 = 0x51_0000
  private static let notify: UInt64 = 1 << 63
  private static let notifyWithMessage: UInt64 = 3 << 62

  private static func report(
    _ parameters: [UInt64], control: UInt64, then more: [ProbeStep] = []
  ) -> [ProbeStep] {
    parameters.enumerated().map { .writeMSR(0x4000_0100 + UInt64($0.offset), $0.element) }
      + [.readMSR(0x4000_0105), .writeMSR(0x4000_0105, control), .store(0x77, at: afterwards)]
      + more
  }

  private func crash(of probe: Probe) throws -> GuestCrash {
    guard case .crashed(let crash) = probe.outcome else {
      Issue.record("unexpected end: \(probe.outcome)")
      throw MachineError.configuration("no crash")
    }
    return crash
  }

  @Test(arguments: Host.transports)
  func parametersMessageAndIdentityAreTold(transport: HyperVTransport) throws {
    let parameters = [1, 2, 3, Self.messageAddress, UInt64(Self.message.count)]
    let probe = try Probe(
      Probe.introduction + Self.report(parameters, control: Self.notifyWithMessage),
      transport: transport
    ) { _ in
    } prepare: {
      try $0.write(Self.message, at: GPA(Self.messageAddress))
    }
    let crash = try crash(of: probe)
    #expect(crash.report.parameters == parameters)
    #expect(crash.report.control == Self.notifyWithMessage)
    #expect(crash.identity == GuestIdentity(rawValue: 0x8100 << 48))
    #expect(crash.message == Self.message)
    #expect(crash.vcpuID == 0)
    // The register offers both, and the guest went on.
    #expect(probe.steps[7].result == Self.notifyWithMessage && probe.steps[7].fault == nil)
    #expect(try probe.machine.memory.load(at: GPA(Self.afterwards), as: UInt8.self) == 0x77)
  }

  /// P3 and P4, and whether they are a message at all.
  static let hostile: [(address: UInt64, byteCount: UInt64, isMessage: Bool)] = [
    (messageAddress, 0, false), (messageAddress, 4097, false), (messageAddress, .max, false),
    (Probe.memoryByteCount, 16, true), (Probe.memoryByteCount - 8, 16, true),
    (0xFEE0_0000, 4096, true), (.max, 1, true), (.max, 2, false),
  ]

  @Test(arguments: Host.transports)
  func messagesOutsideMemoryAreNotRead(transport: HyperVTransport) throws {
    for row in Self.hostile {
      let probe = try Probe(
        Self.report([9, 9, 9, row.address, row.byteCount], control: Self.notifyWithMessage),
        transport: transport)
      let crash = try crash(of: probe)
      #expect(crash.message == nil)
      #expect((crash.report.message != nil) == row.isMessage, "\(row)")
    }
    let whole = try Probe(
      Self.report([0, 0, 0, 0x50_0800, 4096], control: Self.notifyWithMessage),
      transport: transport)
    #expect(try crash(of: whole).message == [UInt8](repeating: 0, count: 4096))
  }

  @Test(arguments: Host.transports)
  func aReportWithAMessageIsKept(transport: HyperVTransport) throws {
    let second = [0, 0, 0, Self.messageAddress, 4] as [UInt64]
    for isFirst in [true, false] {
      let plain = Self.report([5, 5, 5, 5, 5], control: Self.notify)
      let full = Self.report(second, control: Self.notifyWithMessage)
      let probe = try Probe(isFirst ? full + plain : plain + full, transport: transport)
      #expect(try crash(of: probe).message == [0, 0, 0, 0])
    }
  }

  @Test(arguments: Host.transports)
  func withoutNotifyNothingIsReported(transport: HyperVTransport) throws {
    let probe = try Probe(Self.report([1, 2, 3, 4, 5], control: 1 << 62), transport: transport)
    #expect(probe.outcome.exitStatus == 0)
  }

  @Test(arguments: Host.transports)
  func aCrashMayBeIgnored(transport: HyperVTransport) throws {
    let probe = try Probe(
      Self.report([1, 2, 3, 4, 5], control: Self.notify), transport: transport
    ) {
      $0.endsOnCrash = false
    }
    #expect(probe.outcome.exitStatus == 0)
    #expect(try probe.machine.memory.load(at: GPA(Self.afterwards), as: UInt8.self) == 0x77)
  }

  @Test(arguments: Host.transports)
  func withoutTheEnlightenmentThereIsNoRegister(transport: HyperVTransport) throws {
    let probe = try Probe([.readMSR(0x4000_0105)], transport: transport) {
      $0.enlightenments = EnlightenmentSelection(.recommended, removing: .crash)
    }
    #expect(probe.outcome.exitStatus == 0 && probe.steps[0].fault == 13)
  }

  // MARK: On a PC, whose vCPUs halt in the kernel

  /// mov ecx, 0x40000105; mov edx, 0x80000000; xor eax, eax; wrmsr
  private static let crash: [UInt8] = [
    0xB9, 0x05, 0x01, 0x00, 0x40, 0xBA, 0x00, 0x00, 0x00, 0x80, 0x31, 0xC0, 0x0F, 0x30,
  ]

  private func run(
    _ code: [UInt8], _ transport: HyperVTransport, secondsAfterCrash: Int, vcpuCount: Int = 1
  ) throws -> MachineOutcome {
    let kernel = BootFile(SyntheticImages.bzImage(code: code), name: "synthetic")
    var configuration = MachineConfiguration.confined(
      .linux(LinuxGuest(kernel: kernel, commandLine: "")), memoryByteCount: 64 << 20,
      vcpuCount: vcpuCount)
    configuration.hyperV = transport == .kernel ? .kernel : .userspace
    configuration.secondsAfterCrash = secondsAfterCrash
    return try Machine(configuration, control: MachineControl()).run()
  }

  /// An hour would be over only after the suite's time.
  @Test(arguments: Host.transports)
  func aGuestThatHaltsForGoodEnds(transport: HyperVTransport) throws {
    let halt: [UInt8] = [0xFA, 0xF4, 0xEB, 0xFC]  // cli; hlt; jmp to the cli
    let outcome = try run(
      Self.crash + halt, transport, secondsAfterCrash: 3600, vcpuCount: 2)
    guard case .crashed = outcome else {
      Issue.record("unexpected end: \(outcome)")
      return
    }
  }

  @Test(arguments: Host.transports)
  func aGuestThatResetsEndsWithItsCrash(transport: HyperVTransport) throws {
    // mov dx, 0xCF9; mov al, 6; out dx, al
    let reset: [UInt8] = [0x66, 0xBA, 0xF9, 0x0C, 0xB0, 0x06, 0xEE, 0xEB, 0xFE]
    let outcome = try run(Self.crash + reset, transport, secondsAfterCrash: 3600)
    guard case .crashed = outcome else {
      Issue.record("unexpected end: \(outcome)")
      return
    }
  }

  @Test(arguments: Host.transports)
  func aGuestThatGoesOnEndsInTheEnd(transport: HyperVTransport) throws {
    let outcome = try run(Self.crash + [0xEB, 0xFE], transport, secondsAfterCrash: 2)
    guard case .crashed = outcome else {
      Issue.record("unexpected end: \(outcome)")
      return
    }
  }

  @Test(arguments: Host.transports)
  func aTripleFaultSaysWhere(transport: HyperVTransport) throws {
    // lidt of an empty table would do too; here there is none: ud2.
    let outcome = try run([0x0F, 0x0B], transport, secondsAfterCrash: 1)
    guard case .tripleFault(vcpuID: 0, let instructionPointer) = outcome else {
      Issue.record("unexpected end: \(outcome)")
      return
    }
    #expect(instructionPointer != 0)
  }
}
