import HostSystem
import Sandbox
import TestSupport
import VMM

extension MachineConfiguration {
  /// A machine whose threads run under the filters they have in the program.
  ///
  /// Under all that any option asks for: which option a test sets is not known yet.
  static func confined(
    program: [UInt8], memoryByteCount: UInt64, vcpuCount: Int = 1
  ) -> MachineConfiguration {
    confined(.program(program), memoryByteCount: memoryByteCount, vcpuCount: vcpuCount)
  }

  /// The same for other images.
  static func confined(
    _ image: GuestImage, memoryByteCount: UInt64, vcpuCount: Int = 1
  ) -> MachineConfiguration {
    var configuration = MachineConfiguration(
      image, memoryByteCount: memoryByteCount, vcpuCount: vcpuCount)
    configuration.onThreadStart = { role in
      var policy = SandboxPolicy()
      policy.usesWriteProtection = true
      policy.looksAtPopulation = true
      policy.keepsFlash = true
      policy.hasNetwork = true
      policy.hasTPM = true
      policy.savesMachines = true
      policy.migrates = true
      ThreadFilter.enter(role, policy)
    }
    return configuration
  }
}
