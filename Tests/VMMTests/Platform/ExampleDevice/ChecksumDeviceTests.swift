import DeviceKit
import GuestMemory
import HostSystem
import Synchronization
import Testing
import VMM

/// A device of an embedder's own in a running machine: found, programmed, and heard by a guest.
@Suite(
  .enabled(if: Host.hasKVM, "needs read-write /dev/kvm"), .serialized, .timeLimit(.minutes(10)))
struct ChecksumDeviceTests {
  private static let slot: UInt8 = 7
  /// Configuration registers, by the place that a machine without firmware has for them.
  private static let configuration: UInt32 = 0xB000_0000 | UInt32(slot) << 15
  /// Where the VMM puts BARs without firmware: the larger one first.
  private static let results: UInt32 = 0xC000_0000
  private static let registers: UInt32 = 0xC001_0000
  private static let localAPIC: UInt32 = 0xFEE0_0000
  private static let vector: UInt32 = 0x51
  private static let data: UInt32 = 0x20_0000

  private func run(_ code: [UInt8]) async throws -> (words: [UInt32], device: ChecksumDevice) {
    try await KernelCode.run(code, deviceSlot: Self.slot) { (context) throws(DeviceError) in
      try ChecksumDevice(context)
    }
  }

  @Test("a guest finds the device, has bytes added up, and gets sum and interrupt")
  func checksum() async throws {
    let table = Self.registers + UInt32(ChecksumDevice.vectorTable)
    var code = KernelCode.load(Self.configuration) + KernelCode.print
    for bar: UInt32 in [0x10, 0x14] {
      code += KernelCode.load(Self.configuration + bar) + KernelCode.print
    }
    // The local APIC on; memory and bus master on; the vector, not masked; MSI-X, at 0x40, on.
    code += KernelCode.store(Self.localAPIC + 0xF0, 0x1FF)
    code += KernelCode.store(Self.configuration + 4, 6)
    for (offset, value): (UInt32, UInt32) in [(0, Self.localAPIC), (8, Self.vector), (12, 0)] {
      code += KernelCode.store(table + offset, value)
    }
    code += KernelCode.store(Self.configuration + 0x40, 0x8000_0011)
    code += KernelCode.store(Self.data, 0x0403_0201) + KernelCode.store(Self.data + 4, 0x0000_00F0)
    code += KernelCode.store(Self.registers, Self.data) + KernelCode.store(Self.registers + 8, 8)
    code += KernelCode.store(Self.registers + 12, 1)
    code += KernelCode.wait(Self.registers + 12) + KernelCode.print
    code += KernelCode.load(Self.results) + KernelCode.print
    // Interrupts are off: the vector stays in the request register.
    code += KernelCode.wait(Self.localAPIC + 0x200 + Self.vector / 32 * 16) + KernelCode.print
    // A page of the device's memory is written without an exit.
    code += KernelCode.store(Self.results + 0x3000, 0x1234_5678)
    let (words, device) = try await run(code)
    #expect(
      words == [
        0xADD0_1234, Self.registers, Self.results | 8, ChecksumDevice.done, 0xFA,
        1 << (Self.vector % 32),
      ])
    // With nested paging the log also names a page that the device wrote and the guest read.
    let written = device.endpoint.takeWrittenPages(ofBAR: 1)
    #expect(written == [1 << 3] || written == [1 << 3 | 1])
  }

  @Test("without Bus Master, or beyond RAM, it reads nothing")
  func refused() async throws {
    func attempt(command: UInt32, address: UInt32) -> [UInt8] {
      KernelCode.store(Self.configuration + 4, command) + KernelCode.store(Self.registers, address)
        + KernelCode.store(Self.registers + 8, 8) + KernelCode.store(Self.registers + 12, 1)
        + KernelCode.wait(Self.registers + 12) + KernelCode.print
    }
    let code =
      attempt(command: 2, address: Self.data) + attempt(command: 6, address: 0xA000_0000)
      + attempt(command: 6, address: Self.data)
    let (words, _) = try await run(code)
    #expect(words == [ChecksumDevice.failed, ChecksumDevice.failed, ChecksumDevice.done])
  }

  @Test(
    "slots are 1 to 30, each for one device",
    arguments: [
      ([0], "PCI slot 0: 1 to 30 are possible"), ([31], "PCI slot 31: 1 to 30 are possible"),
      ([5, 5], "two PCI devices in slot 5"),
      (Array(repeating: nil, count: 31), "31 disks and other PCI devices: at most 30 fit"),
    ] as [([UInt8?], String)])
  func slots(slots: [UInt8?], message: String) throws {
    var configuration = MachineConfiguration.confined(
      .linux(
        LinuxGuest(
          kernel: BootFile(SyntheticImages.bzImage(), name: "synthetic"), commandLine: "")),
      memoryByteCount: 64 << 20)
    configuration.computer.pciDevices = slots.map { slot in
      PCIDeviceConfiguration(slot: slot) { (context) throws(DeviceError) in
        try ChecksumDevice(context)
      }
    }
    let error = #expect(throws: MachineError.self) {
      try Machine(configuration, control: MachineControl())
    }
    #expect(error?.description == message)
  }

  @Test("a device that cannot start ends the run before the guest's first instruction")
  func cannotStart() async throws {
    let output = Mutex<[UInt8]>([])
    let stopCount = Mutex(0)
    let kernel = BootFile(
      SyntheticImages.bzImage(code: KernelCode.print + KernelCode.powerOff + KernelCode.halt),
      name: "synthetic")
    var configuration = MachineConfiguration.confined(
      .linux(LinuxGuest(kernel: kernel, commandLine: "")), memoryByteCount: 64 << 20)
    configuration.computer.serialOutput = { byte in output.withLock { $0.append(byte) } }
    configuration.computer.pciDevices = [
      PCIDeviceConfiguration { context in
        UnstartableDevice(context) { stopCount.withLock { $0 += 1 } }
      }
    ]
    let machine = try Machine(configuration, control: MachineControl())
    guard case .failed(let error) = await machine.runOnThread() else {
      Issue.record("it ran")
      return
    }
    #expect(error == .unavailable(what: "no coffee", cure: "make some"))
    #expect(output.withLock { $0 }.isEmpty)
    #expect(stopCount.withLock { $0 } == 1)
  }
}

/// Says why it cannot start.
private final class UnstartableDevice: PCIFunction {
  let endpoint: PCIEndpoint
  private let onStop: @Sendable () -> Void

  init(_ context: PCIContext, onStop: @escaping @Sendable () -> Void) {
    endpoint = PCIEndpoint(
      PCIConfigurationSpace(
        identity: PCIIdentity(vendor: 0x1234, device: 1, classCode: 0xFF_0000)),
      context: context)
    self.onStop = onStop
  }

  func start() throws(DeviceError) { throw .unavailable(what: "no coffee", cure: "make some") }

  func stop() { onStop() }
}
