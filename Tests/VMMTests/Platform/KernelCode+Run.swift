import DeviceKit
import GuestMemory
import Synchronization
import Testing
import VMM

extension KernelCode {
  /// Runs a kernel to its power-off, in a machine with one more device.
  ///
  /// - Returns: what the guest printed, in words, and the device.
  static func run<Device: PCIFunction>(
    _ code: [UInt8], deviceSlot: UInt8,
    _ make: @escaping @Sendable (PCIContext) throws(DeviceError) -> Device
  ) async throws -> (words: [UInt32], device: Device) {
    let output = Mutex<[UInt8]>([])
    let made = Mutex<Device?>(nil)
    let kernel = BootFile(
      SyntheticImages.bzImage(code: code + powerOff + halt), name: "synthetic")
    var configuration = MachineConfiguration.confined(
      .linux(LinuxGuest(kernel: kernel, commandLine: "")), memoryByteCount: 64 << 20)
    configuration.computer.serialOutput = { byte in output.withLock { $0.append(byte) } }
    configuration.computer.pciDevices = [
      PCIDeviceConfiguration(slot: deviceSlot) { (context) throws(DeviceError) in
        let device = try make(context)
        made.withLock { $0 = device }
        return device
      }
    ]
    let machine = try Machine(configuration, control: MachineControl())
    guard case .poweredOff = await machine.runOnThread() else {
      Issue.record("the guest did not switch off")
      return ([], try #require(made.withLock { $0 }))
    }
    return (words(of: output.withLock { $0 }), try #require(made.withLock { $0 }))
  }
}
