internal import HostSystem

/// Roles that may do the same. Not a `Set`, whose types are made at run time: at every start of the
/// process.
struct SandboxRoles: OptionSet, Sendable {
  let rawValue: UInt16

  static let service = SandboxRoles(rawValue: 1 << ThreadRole.service.rawValue)
  static let vcpu = SandboxRoles(rawValue: 1 << ThreadRole.vcpu.rawValue)
  /// With service threads, as those below.
  static let disk: SandboxRoles = [
    .service, SandboxRoles(rawValue: 1 << ThreadRole.disk.rawValue),
  ]
  static let guest: SandboxRoles = [.service, .vcpu]
  static let all: SandboxRoles = [.guest, .disk]

  func contains(_ role: ThreadRole) -> Bool {
    rawValue & (1 << role.rawValue) != 0
  }
}
