internal import HostSystem

/// One line of the list: a call, the roles that may make it, and why. docs/sandbox.md has all of
/// them.
struct SandboxPermission: Sendable {
  /// What has to be asked for in the policy, because most runs do without.
  enum Need: String, Sendable {
    case writeProtection = "write protection"
    /// Write protection, or a look at what is populated.
    case pageTables = "page tables"
    case fileReplacement = "file replacement"
    /// File replacement or control clients.
    case fileRemoval = "file removal"
    case flash = "flash in a file"
    case viewers = "viewers"
    /// Control clients.
    case control = "control clients"
    /// Viewers or control clients.
    case listener = "viewers or control clients"
    /// Viewers, control clients, network cards or an emulator of a TPM.
    case peers = "peers"
    case network = "network cards"
    case saving = "saved machines"
    /// Control clients, or a machine that came from elsewhere.
    case migration = "machines that move"
    case children = "programs of its own"
  }

  let call: SystemCall
  let roles: SandboxRoles
  /// What the arguments must be; empty for anything.
  var alternatives: [[ArgumentTest]] = []
  /// That in words.
  var condition = ""
  var need: Need?
  var answer = SystemCallRule.Answer.allow
  let why: String

  init(
    _ call: SystemCall, _ roles: SandboxRoles, only condition: String = "",
    _ alternatives: [[ArgumentTest]] = [], need: Need? = nil,
    answer: SystemCallRule.Answer = .allow, why: String
  ) {
    self.call = call
    self.roles = roles
    self.condition = condition
    self.alternatives = alternatives
    self.need = need
    self.answer = answer
    self.why = why
  }
}

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
  static let viewer: SandboxRoles = [
    .service, SandboxRoles(rawValue: 1 << ThreadRole.viewer.rawValue),
  ]
  static let control: SandboxRoles = [
    .service, SandboxRoles(rawValue: 1 << ThreadRole.control.rawValue),
  ]
  /// The threads that others connect to.
  static let listeners: SandboxRoles = [.viewer, .control]
  static let network: SandboxRoles = [
    .service, SandboxRoles(rawValue: 1 << ThreadRole.network.rawValue),
  ]
  static let guest: SandboxRoles = [.service, .vcpu]
  /// The threads that give pages of guest memory back, or look at them.
  static let memory: SandboxRoles = [.guest, balloon, vmbus]
  /// Those that make memory slots while the guest runs.
  static let slots: SandboxRoles = [.pictures, vmbus]
  /// Those that add memory to the guest.
  static let growth: SandboxRoles = [.service, vmbus]
  private static let balloon = SandboxRoles(rawValue: 1 << ThreadRole.balloon.rawValue)
  private static let vmbus = SandboxRoles(rawValue: 1 << ThreadRole.vmbus.rawValue)
  /// The threads that exchange bytes with something outside.
  static let peers: SandboxRoles = [
    .listeners, SandboxRoles(rawValue: 1 << ThreadRole.tpm.rawValue),
    .network,
  ]
  /// With the threads that have a display's log of written pages.
  static let pictures: SandboxRoles = [.guest, .viewer]
  /// Those that read what woke them.
  static let readers: SandboxRoles = [.peers, vmbus]
  /// With those that have the log forget pages.
  static let logs: SandboxRoles = [.pictures, .memory]
  /// With the threads that wait for something outside.
  static let waiting: SandboxRoles = [.guest, .readers]
  static let all: SandboxRoles = [.guest, .disk, .peers, .memory]

  func contains(_ role: ThreadRole) -> Bool {
    rawValue & (1 << role.rawValue) != 0
  }
}
