import DeviceKit
import GuestMemory
import HostSystem
import Synchronization
import Testing
import VMM

/// The log of what a guest writes into a device's memory, turned on and off while it runs.
@Suite(
  .enabled(if: Host.hasKVM, "needs read-write /dev/kvm"), .serialized, .timeLimit(.minutes(10)))
struct WriteLogTests {
  private static let slot: UInt8 = 7
  private static let configuration: UInt32 = 0xB000_0000 | UInt32(slot) << 15
  /// Where the VMM puts BARs without firmware: the larger one first.
  private static let memory: UInt32 = 0xC000_0000
  private static let registers: UInt32 = 0xC001_0000

  @Test("turned on all pages count, then those written; turned off all again")
  func logSwitch() async throws {
    func page(_ number: UInt32) -> [UInt8] {
      KernelCode.store(Self.memory + number << 12, 0x1234_5678)
    }
    let take = KernelCode.load(Self.registers) + KernelCode.print
    var code = KernelCode.store(Self.configuration + 4, 2) + page(1)
    code += KernelCode.store(Self.registers, 1) + take + take
    // The page that was written before the log, too: its entry writable since then.
    code += page(3) + page(1) + page(15) + take + take
    code += KernelCode.store(Self.registers, 0) + page(4) + take
    code += KernelCode.store(Self.registers, 1) + take + page(4) + take
    let (words, _) = try await KernelCode.run(code, deviceSlot: Self.slot) {
      (context) throws(DeviceError) in
      try LogDevice(context)
    }
    let expected: [UInt32] = [0xFFFF, 0, 0b1000_0000_0000_1010, 0, 0xFFFF, 0xFFFF, 0b1_0000]
    #expect(words == expected)
  }
}

/// 16 pages of memory; a register turns their log on and off, and reads it.
private final class LogDevice: PCIFunction {
  let endpoint: PCIEndpoint

  init(_ context: PCIContext) throws(DeviceError) {
    let memory: DeviceMemory
    do throws(GuestMemoryError) {
      memory = try DeviceMemory(byteCount: 0x1_0000)
    } catch {
      throw .unavailable(what: "no memory for a device", cure: error.description)
    }
    var space = PCIConfigurationSpace(
      identity: PCIIdentity(vendor: 0x1234, device: 0xADD1, classCode: 0xFF_0000))
    space.addBAR(PCIBAR(index: 0, byteCount: 0x1000))
    space.addBAR(PCIBAR(index: 1, byteCount: 0x1_0000), memory: memory)
    endpoint = PCIEndpoint(space, context: context)
  }

  func readBAR(_ index: Int, offset: UInt64, width: Int) -> UInt64 {
    endpoint.takeWrittenPages(ofBAR: 1)[0] & 0xFFFF
  }

  func writeBAR(_ index: Int, offset: UInt64, width: Int, value: UInt64) {
    endpoint.setLogsWrites(value & 1 != 0, ofBAR: 1)
  }
}
