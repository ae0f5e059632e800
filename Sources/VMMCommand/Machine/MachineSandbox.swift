internal import Glibc
internal import HostSystem
internal import MachineSpecification
internal import Sandbox
internal import VMM

/// The sandbox of one run of this program: what its options make necessary, and no more.
///
/// A run has phases, and types keep their order: files are opened for a `MachineConfiguration`,
/// `enter()` gives up the rest and returns the `Confinement`, that alone makes a
/// `ConfinedMachine`, and a `Machine` is built from nothing else.
struct MachineSandbox: Sendable {
  /// Nil with `--sandbox off`.
  private let sandbox: Sandbox?
  /// Descriptors of the parent process that are still in use.
  private let keptDescriptors: Set<Int32>

  /// - Parameters:
  ///   - choice: whether there is one.
  ///   - tracking: needs calls and files of its own.
  ///   - mapPath: a picture that is written at the end.
  ///   - readsTimeZone: whether the guest's clock has local time.
  ///   - keepsFlash: whether firmware's variables are kept in a file.
  ///   - servesViewers: whether the display has viewers.
  ///   - tpm: where the TPM's emulator is; nil for none.
  ///   - hasNetwork: whether there are network cards.
  ///   - controlPath: where control clients connect; nil for nowhere.
  ///   - snapshotsPath: where the machine can be saved; nil for nowhere.
  ///   - evidencePath: where files are added; nil for nowhere.
  ///   - isRestored: whether it is one that was saved.
  ///   - isReceived: whether it comes from another process.
  init(
    _ choice: SandboxChoice, tracking: TrackingSpec, mapPath: String? = nil,
    readsTimeZone: Bool = false, keepsFlash: Bool = false, servesViewers: Bool = false,
    tpm: TPMSpec? = nil, hasNetwork: Bool = false, controlPath: String? = nil,
    snapshotsPath: String? = nil, evidencePath: String? = nil, isRestored: Bool = false,
    isReceived: Bool = false
  ) {
    guard choice == .on else {
      sandbox = nil
      keptDescriptors = []
      return
    }
    let device: LandlockAccess = [.readFile, .writeFile, .control]
    // /proc/self is this process's own directory when the rules are made.
    var rules = [LandlockRule("/dev/kvm", device), LandlockRule("/proc/self", .readFile)]
    var policy = SandboxPolicy()
    policy.keepsFlash = keepsFlash
    policy.servesViewers = servesViewers
    policy.hasTPM = tpm != nil
    if case .directory = tpm { policy.hasChildren = true }
    policy.hasNetwork = hasNetwork
    if let controlPath {
      policy.servesControl = true
      // To remove the socket's file at the end; a rule for the file itself could not say that.
      rules.append(
        LandlockRule(
          path: ArgumentText.bytes(of: Self.directory(of: controlPath)), .removeFile))
    }
    // By a control client's word it can move elsewhere.
    policy.migrates = isReceived || controlPath != nil
    policy.savesMachines = isRestored || snapshotsPath != nil || policy.migrates
    if let snapshotsPath {
      policy.replacesFiles = true
      rules.append(
        LandlockRule(
          path: ArgumentText.bytes(of: snapshotsPath),
          [
            .readFile, .readDirectory, .writeFile, .truncate, .makeFile, .removeFile,
            .makeDirectory,
          ]))
    }
    if let evidencePath {
      policy.replacesFiles = true
      rules.append(
        LandlockRule(path: ArgumentText.bytes(of: evidencePath), [.writeFile, .makeFile]))
    }
    // A control client may have zero pages given back.
    policy.looksAtPopulation =
      tracking.source == nil || tracking.source == .populated
      || tracking.trimMilliseconds != nil || controlPath != nil
    if tracking.source == .writeProtect {
      policy.usesWriteProtection = true
      rules.append(LandlockRule("/dev/userfaultfd", device))
    }
    // Read once and kept by the C library, wherever TZ says it is.
    if readsTimeZone { tzset() }
    // Read once, too, from /sys.
    _ = HyperVHost.virtualizesAPIC
    if let mapPath {
      policy.replacesFiles = true
      rules.append(
        LandlockRule(path: ArgumentText.bytes(of: mapPath), [.writeFile, .truncate]))
      rules.append(
        LandlockRule(
          path: ArgumentText.bytes(of: Self.directory(of: mapPath)),
          [.writeFile, .truncate, .makeFile, .removeFile]))
    }
    sandbox = Sandbox(policy, files: rules)
    keptDescriptors = Set([mapPath.flatMap(Self.descriptor)].compactMap(\.self))
  }

  /// Gives up what is not needed. All files but those above are open by now, and there is one
  /// thread.
  ///
  /// - Throws: `MachineError.unavailable`, which names `--sandbox off`.
  func enter() throws(MachineError) -> Confinement {
    guard let sandbox else { return .none }
    InheritedDescriptors.close(except: keptDescriptors)
    CrashSignals.useDefaultActions()
    // What it restores comes after the line about a forbidden call, so its handler comes before.
    TerminalRescue.prepare()
    do throws(SandboxError) {
      try ForbiddenCallReport.install(
        program: Diagnostics.prefix, hint: "run with --sandbox off to debug")
      try sandbox.enterProcess()
    } catch {
      throw .unavailable(what: "\(error)", cure: "or run without protection: --sandbox off")
    }
    return Confinement(sandbox: sandbox)
  }

  static func directory(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  /// The N of `/dev/fd/N`, as shells write what a program is to read from or write to.
  static func descriptor(of path: String) -> Int32? {
    for prefix in ["/dev/fd/", "/proc/self/fd/"] where path.hasPrefix(prefix) {
      return Int32(path.dropFirst(prefix.count))
    }
    return nil
  }
}

/// That this process has given up what it does not need, or was asked not to.
struct Confinement: Sendable {
  /// Of a process that gives up nothing: `--sandbox off`.
  static let none = Confinement(sandbox: nil)

  fileprivate let sandbox: Sandbox?

  /// A machine whose threads take up their own, stricter lists first of all.
  func machine(_ configuration: MachineConfiguration) -> ConfinedMachine {
    var machine = ConfinedMachine(configuration: configuration)
    if let sandbox { machine.configuration.onThreadStart = { sandbox.enter($0) } }
    return machine
  }

  /// Has the calling thread, which is none of the machine's, take up its list.
  func enterThread(_ role: ThreadRole) {
    sandbox?.enter(role)
  }
}

/// What a machine is built from, in a process that has given up what it does not need.
struct ConfinedMachine: Sendable {
  var configuration: MachineConfiguration

  fileprivate init(configuration: MachineConfiguration) {
    self.configuration = configuration
  }
}
