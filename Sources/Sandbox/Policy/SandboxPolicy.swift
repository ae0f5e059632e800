internal import Glibc
public import HostSystem

/// What the threads of a virtual machine may ask of the kernel, once its guest runs.
///
/// A value; `SeccompFilter` enforces it. Whatever a thread with another role may, a service thread
/// may, so that its filter can be put in force first, for all.
public struct SandboxPolicy: Hashable, Sendable {
  /// Guest writes are tracked by write protection, which needs userfaultfd(2) and PAGEMAP_SCAN.
  public var usesWriteProtection = false
  /// Guest memory itself is looked at to see what was written, or what can be given back, which
  /// needs PAGEMAP_SCAN.
  public var looksAtPopulation = false
  /// Service threads create and rename files, such as a picture at the end.
  public var replacesFiles = false
  /// vCPU threads write the variables of firmware to a file.
  public var keepsFlash = false
  /// Viewers of the display connect.
  public var servesViewers = false
  /// Control clients connect, and their socket's file is removed at the end.
  public var servesControl = false
  /// A TPM's emulator is asked by a thread.
  public var hasTPM = false
  /// Programs that were started before end with the machine.
  public var hasChildren = false
  /// Network cards are connected to sockets or tap devices.
  public var hasNetwork = false

  /// The machine can be saved, or is one that was.
  public var savesMachines = false
  /// The machine can move to another process, or comes from one.
  public var migrates = false

  /// The policy of a machine without any of these.
  public init() {}

  /// The filter for threads of a role in this process.
  public func filter(for role: ThreadRole) -> SeccompFilter {
    SeccompFilter(rules(for: role, processID: UInt32(getpid())), role: role.rawValue)
  }

  /// One for each call that is allowed, if only sometimes.
  ///
  /// - Parameter processID: the only process that may be sent signals.
  public func rules(for role: ThreadRole, processID: UInt32) -> [SystemCallRule] {
    let requests = SandboxRequest.all.filter { $0.roles.contains(role) && has($0.need) }
    let ioctl = SystemCallRule(
      .ioctl, anyOf: requests.map { [.argument(1, is: $0.number)] })
    let tgkill = SystemCallRule(.tgkill, anyOf: [[.argument(0, is: processID)]])
    let others = SandboxPermission.all
      .filter { $0.roles.contains(role) && has($0.need) }
      .map { permission in
        SystemCallRule(
          permission.call, anyOf: alternatives(permission), answer: permission.answer)
      }
    return [ioctl, tgkill] + others
  }

  private func alternatives(_ permission: SandboxPermission) -> [[ArgumentTest]] {
    permission.call == .openat && replacesFiles ? [] : permission.alternatives
  }

  private func has(_ need: SandboxPermission.Need?) -> Bool {
    switch need {
    case nil: true
    case .writeProtection: usesWriteProtection
    case .pageTables: usesWriteProtection || looksAtPopulation
    case .fileReplacement: replacesFiles
    case .fileRemoval: replacesFiles || servesControl
    case .flash: keepsFlash
    case .viewers: servesViewers
    case .control: servesControl
    case .listener: servesViewers || servesControl
    case .peers: servesViewers || servesControl || hasTPM || hasNetwork || migrates
    case .network: hasNetwork
    case .saving: savesMachines
    case .migration: migrates
    case .children: hasChildren
    }
  }
}
