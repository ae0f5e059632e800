import DeviceKit
import Devices
import MachineSpecification
import Synchronization
import Testing
import VMM

/// Loads and stores of a guest reach a memory-mapped device whole, in order and at their offset.
@Suite(
  .enabled(if: Host.hasKVM, "needs read-write /dev/kvm"), .serialized, .timeLimit(.minutes(10)))
struct MemoryDeviceTests {
  /// Remembers stores; answers loads with the same pattern always.
  private final class Scratch: BusDevice {
    let stores = Mutex<[[UInt64]]>([])

    func read(offset: UInt64, width: Int) -> UInt64 { 0xA5A5_A5A5_1234_5600 | offset }

    func write(offset: UInt64, width: Int, value: UInt64) {
      stores.withLock { $0.append([offset, UInt64(width), value]) }
    }
  }

  private static let program: [UInt8] = [
    0x48, 0xBB, 0x00, 0x00, 0xD0, 0xFE, 0, 0, 0, 0,  // mov rbx, 0xFED00000
    0x48, 0xB8, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,  // mov rax, 0x1122334455667788
    0x48, 0x89, 0x43, 0x10,  // mov [rbx + 0x10], rax
    0x88, 0x43, 0x21,  // mov [rbx + 0x21], al
    0x89, 0x83, 0x00, 0x10, 0x00, 0x00,  // mov [rbx + 0x1000], eax: nobody's
    0x8B, 0x43, 0x08,  // mov eax, [rbx + 8]
    0x03, 0x83, 0x00, 0x10, 0x00, 0x00,  // add eax, [rbx + 0x1000]: nobody's, all ones
    0xE7, 0xF4,  // out 0xF4, eax
    0xEB, 0xFE,  // jmp $
  ]

  @Test func storesAndLoadsReachTheDevice() throws {
    let device = Scratch()
    let control = MachineControl()
    var configuration = MachineConfiguration.confined(
      program: Self.program, memoryByteCount: Probe.memoryByteCount)
    configuration.hyperV = .userspace
    configuration.portDevices = [
      (ExitPort.ports, ExitPort { control.end(with: .exited(status: $0)) })
    ]
    configuration.memoryDevices = [(MMIORange(start: 0xFED0_0000, byteCount: 0x1000), device)]
    let machine = try Machine(configuration, control: control)
    #expect(machine.run().exitStatus == 0x1234_5607)
    #expect(
      device.stores.withLock { $0 } == [
        [0x10, 8, 0x1122_3344_5566_7788], [0x21, 1, 0x88],
      ])
  }

  @Test func memoryDevicesMayNotOverlap() {
    var configuration = MachineConfiguration.confined(
      program: Self.program, memoryByteCount: Probe.memoryByteCount)
    configuration.memoryDevices = [
      (MMIORange(start: 0xFED0_0000, byteCount: 2), Scratch()),
      (MMIORange(start: 0xFED0_0001, byteCount: 2), Scratch()),
    ]
    #expect(throws: MachineError.self) {
      _ = try Machine(configuration, control: MachineControl())
    }
  }
}
