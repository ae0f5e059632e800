import Devices
import Foundation
import GuestMemory
import TestSupport
import Testing
import VMM

/// A host that runs out of something while a machine is built: an error, whatever step it hits.
@Suite(
  .enabled(if: Host.hasKVM, "needs read-write /dev/kvm"), .serialized, .timeLimit(.minutes(10)))
struct HostLimitTests {
  @Test func noDescriptorsLeftAtEachStep() async {
    await #expect(processExitsWith: .exitCode(0)) {
      let configuration = try computer(disk: EmptyDisk(), memoryByteCount: 64 << 20)
      var failureCount = 0
      for count in 0..<1024 as Range<UInt64> {
        try ProcessLimit.openFiles.set(count)
        do throws(MachineError) {
          _ = try Machine(configuration, control: MachineControl())
          // The first number that is enough, after some that were not.
          _exit(failureCount > 3 ? 0 : 1)
        } catch {
          guard "\(error)".contains("EMFILE") else {
            FileHandle.standardError.write(Data("\(count): \(error)\n".utf8))
            _exit(2)
          }
          failureCount += 1
        }
      }
      _exit(3)
    }
  }

  @Test(.enabled(if: !Sanitizer.isActive, "a sanitizer needs its own address space"))
  func noAddressSpace() async {
    await #expect(processExitsWith: .exitCode(0)) {
      let configuration = try computer(disk: EmptyDisk(), memoryByteCount: 64 << 30)
      try ProcessLimit.addressSpace.set(16 << 30)
      do throws(MachineError) {
        _ = try Machine(configuration, control: MachineControl())
        _exit(1)
      } catch {
        _exit("\(error)".contains("ulimit -v") ? 0 : 2)
      }
    }
  }
}

private func computer(
  disk: any BlockStore, memoryByteCount: UInt64
) throws -> MachineConfiguration {
  let kernel = BootFile(SyntheticImages.bzImage(code: [0xEB, 0xFE]), name: "synthetic")
  var configuration = MachineConfiguration.confined(
    .linux(LinuxGuest(kernel: kernel, commandLine: "")), memoryByteCount: memoryByteCount,
    vcpuCount: 2)
  configuration.computer.disks = [DiskConfiguration(disk, serial: "0")]
  return configuration
}
