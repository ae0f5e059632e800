import Bytes
import DeviceKit
import Devices
import GuestMemory
import HyperVCore
import KVM
import MachineSpecification
import Testing
import VMM

/// What a machine tells of the Hyper-V registers that its guest has written.
@Suite(
  .enabled(if: Host.hasKVM, "needs read-write /dev/kvm"), .serialized, .timeLimit(.minutes(10)))
struct SyntheticRegisterTests {
  /// mov ecx, msr; mov eax, value; xor edx, edx; wrmsr
  private static func write(_ msr: SyntheticMSR, _ value: UInt32) -> [UInt8] {
    [0xB9] + msr.rawValue.littleEndianBytes + [0xB8] + value.littleEndianBytes
      + [0x31, 0xD2, 0x0F, 0x30]
  }

  /// Each vCPU counts in a word of its own at 2 MiB when it has written: inc dword
  /// [rsi*4 + 0x200000]; jmp back. The first lets the others begin: out 0xEC, al.
  private static let program: [UInt8] =
    write(.guestOSID, 0x81_0002) + write(.hypercall, 0x30_0001)
    + write(.vpAssistPage, 0x40_0001) + [
      0xE6, 0xEC, 0xFF, 0x04, 0xB5, 0x00, 0x00, 0x20, 0x00, 0xEB, 0xF7,
    ]

  @Test(arguments: Host.transports)
  func areSeenAsTheyWereWritten(transport: HyperVTransport) async throws {
    let control = MachineControl()
    var configuration = MachineConfiguration.confined(
      program: Self.program, memoryByteCount: 16 << 20, vcpuCount: 2)
    configuration.hyperV = transport == .kernel ? .kernel : .userspace
    configuration.portDevices = [
      (PortRange(start: 0xEC, count: 1), SignalPort { _ in control.startSecondaryVCPUs() })
    ]
    let machine = try Machine(configuration, control: control)
    let outcome = Task { await machine.runOnThread() }
    func count(_ index: UInt64) throws -> UInt32 {
      try machine.memory.load(at: GPA(0x20_0000 + 4 * index))
    }
    while try count(0) == 0 || count(1) == 0 { await Task.yield() }

    for _ in 0..<20 {
      let registers = try machine.syntheticRegisters()
      func values(_ msr: SyntheticMSR) -> [UInt32?: UInt64] {
        Dictionary(
          registers.filter { $0.msr == msr }.map { ($0.vcpuID, $0.value) },
          uniquingKeysWith: { _, _ in
            Issue.record("\(msr) twice")
            return 0
          })
      }
      #expect(values(.guestOSID) == [nil: 0x81_0002])
      #expect(values(.hypercall) == [nil: 0x30_0001])
      #expect(values(.vpAssistPage) == [0: 0x40_0001, 1: 0x40_0001])
      #expect(registers.allSatisfy { $0.msr != .timeReferenceCount && $0.msr != .stimer0Count })
    }
    let before = try (count(0), count(1))
    while try count(0) == before.0 || count(1) == before.1 { await Task.yield() }
    control.end(with: .stopped)
    _ = await outcome.value
  }
}
