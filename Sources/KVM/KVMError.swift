internal import Glibc
public import HostSystem

/// What failed at the border to the kernel.
///
/// `description` is one line: what was attempted, with which values, what the kernel answered,
/// and what to do about it where that is known.
public enum KVMError: Error, Equatable, Sendable, CustomStringConvertible {
  /// A system call or ioctl answered with an error.
  case call(operation: String, error: Errno, cure: String?)
  /// The running kernel's KVM lacks something that was asked for.
  case missingCapability(KVMCapability, purpose: String)
  /// `/dev/kvm` speaks another API version than the one, 12, that has not changed since 2007.
  case unexpectedAPIVersion(Int32)
  /// A caller's value that no kernel would take.
  case invalidArgument(String)

  static func failed(_ operation: String, cure: String? = nil) -> KVMError {
    .call(operation: operation, error: .current, cure: cure)
  }

  /// One line: the request with its values, the kernel's answer, and what to do.
  public var description: String {
    switch self {
    case .call(let operation, let error, let cure):
      "\(operation): \(error)" + (cure.map { "; \($0)" } ?? "")
    case .missingCapability(let capability, let purpose):
      "this kernel's KVM has no \(capability), needed for \(purpose); \(capability.cure)"
    case .unexpectedAPIVersion(let version):
      "/dev/kvm answers API version \(version), not 12; this is not a KVM this program can drive"
    case .invalidArgument(let text):
      text
    }
  }
}

extension KVMError {
  private static let openFilesCure =
    "raise the limit of open files (ulimit -n, /proc/sys/fs/file-max)"

  /// The error of opening `/dev/kvm`, with the cure that fits its errno.
  static func openingDevice(_ path: String) -> KVMError {
    let error = Errno.current
    let cure: String? =
      switch error.rawValue {
      case ENOENT:
        "load the module (modprobe kvm-intel or kvm-amd) and enable virtualisation in the firmware;"
          + " in a container or nested guest, ask for the device"
      case EACCES, EPERM:
        "add this user to the group that owns the device (usually: usermod -aG kvm USER) and log in"
          + " again"
      case ENODEV, ENXIO:
        "the KVM module is not loaded: modprobe kvm-intel or kvm-amd"
      case EMFILE, ENFILE:
        openFilesCure
      default:
        nil
      }
    return .call(operation: "cannot open \(path)", error: error, cure: cure)
  }

  /// The cure for a machine that KVM does not make.
  static func machineCure(_ error: Errno) -> String? {
    switch error.rawValue {
    case EBUSY: "another hypervisor has the processor; stop it, or unload its module"
    case EMFILE, ENFILE: openFilesCure
    case ENOMEM: "give the host more free memory"
    case EOPNOTSUPP, ENODEV, EIO: "is virtualisation enabled in the firmware?"
    default: nil
    }
  }
}
