import Glibc
import KVM

/// What this machine's KVM lets the suites test.
enum KVMDevice {
  static let isUsable = unsafe access("/dev/kvm", R_OK | W_OK) == 0

  static let hasHyperV = has(.hyperV)

  static let hasSyncRegisters = has(.syncRegisters)

  static let hasManualDirtyLogProtect = has(.manualDirtyLogProtect)

  private static func has(_ capability: KVMCapability) -> Bool {
    (try? KVMSystem())?.has(capability) ?? false
  }
}
