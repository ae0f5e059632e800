internal import Devices
internal import KVM
internal import MachineSpecification
internal import Sandbox
internal import VMM

/// Asks this host what it can do for a guest.
enum HostCheck {
  /// The capabilities looked for, and what each is used for.
  private static let capabilities: [(capability: KVMCapability, use: String)] = [
    (.manualDirtyLogProtect, "dirty log that reading does not reset"),
    (.syncRegisters, "hypercalls without extra system calls"),
    (.immediateExit, "stopping a vCPU without a race"),
    (.userSpaceMSR, "userspace Hyper-V interface"),
    (.msrFilter, "userspace Hyper-V interface beside the kernel's own"),
    (.hyperV, "in-kernel Hyper-V interface"),
    (.hyperVEnforceCPUID, "in-kernel Hyper-V interface"),
    (.hyperVSynIC2, "synthetic interrupt controller in the kernel"),
    (.systemHyperVCPUID, "what the in-kernel interface implements"),
  ]

  static func report() -> CheckReport {
    let system: KVMSystem
    do throws(KVMError) {
      system = try KVMSystem()
    } catch {
      let finding = CheckReport.Finding(
        name: "/dev/kvm", status: .unusable, detail: error.description, cure: nil)
      return CheckReport(
        findings: [finding, firmware(.ofHost()), tpm(), network(PasstProgram.path)]
          + sandboxFindings(),
        conclusions: .init(hyperv: nil, writtenPageSource: nil, canRunGuests: false))
    }
    var findings = [
      CheckReport.Finding(
        name: "/dev/kvm", status: .available,
        detail: "opened; up to \(system.value(of: .maximumVCPUs)) vCPUs and"
          + " \(system.value(of: .memorySlots)) memory slots",
        cure: nil)
    ]
    for (capability, use) in capabilities {
      let isThere = system.has(capability)
      findings.append(
        .init(
          name: capability.description, status: isThere ? .available : .missing, detail: use,
          cure: isThere ? nil : capability.cure))
    }
    let obstacle = HyperVTransport.kernelObstacle(on: system)
    findings.append(
      .init(
        name: "extended hypercalls in the kernel", status: obstacle == nil ? .available : .missing,
        detail: obstacle?.description ?? "KVM_EXIT_HYPERV", cure: nil))
    findings += writtenPageSources()
    findings.append(hugePages())
    findings.append(firmware(.ofHost()))
    findings.append(tpm())
    findings.append(network(PasstProgram.path))
    findings += sandboxFindings()
    let transport = try? HyperVTransport.choose(.automatic, on: system)
    let canRun = transport == .kernel || system.has(.userSpaceMSR)
    return CheckReport(
      findings: findings,
      conclusions: .init(
        hyperv: canRun ? transport?.rawValue : nil,
        writtenPageSource: Self.automaticSources,
        sandbox: sandboxConclusion(), canRunGuests: canRun))
  }

  /// What `--tracking auto` chooses.
  private static var automaticSources: String {
    let usual = WrittenPageSourceKind.automatic(isPreallocated: false)
    let preallocated = WrittenPageSourceKind.automatic(isPreallocated: true)
    return usual == preallocated
      ? usual.title : "\(usual.title); with --prealloc by the \(preallocated.title)"
  }

  /// What can track the guest's writes here.
  private static func writtenPageSources() -> [CheckReport.Finding] {
    WrittenPageSourceKind.allCases.map { kind in
      let obstacle = kind.obstacle
      return .init(
        name: "\(kind.title) (--tracking \(kind.rawValue))",
        status: obstacle == nil ? .available : .missing,
        detail: obstacle?.description ?? "tells which pages the guest wrote", cure: nil)
    }
  }

  /// What `--firmware auto` would start.
  static func firmware(_ catalog: FirmwareCatalog) -> CheckReport.Finding {
    let name = "UEFI firmware (--firmware auto)"
    do throws(FirmwareCatalog.Failure) {
      let found = try catalog.find()
      return .init(
        name: name, status: .available,
        detail: "\(found.imagePath), variables from \(found.templatePath), by"
          + " \(found.descriptorPath)",
        cure: nil)
    } catch {
      return .init(
        name: name, status: .missing, detail: error.finding, cure: FirmwareCatalog.cure)
    }
  }

  static let tpmCure = "apt-get install swtpm"

  /// What `--tpm DIR` would start.
  static func tpm(_ program: String? = SoftwareTPM.program) -> CheckReport.Finding {
    .init(
      name: "TPM emulator (--tpm)", status: program == nil ? .missing : .available,
      detail: program ?? "swtpm is not installed", cure: program == nil ? tpmCure : nil)
  }

  /// What `--net user` would start.
  static func network(_ path: String?) -> CheckReport.Finding {
    .init(
      name: "passt (--net user)", status: path == nil ? .missing : .available,
      detail: path ?? "the host's network for a guest", cure: path == nil ? PasstProgram.cure : nil)
  }

  /// Whether `--backing hugetlb` finds pages.
  private static func hugePages() -> CheckReport.Finding {
    let name = "2 MiB huge pages"
    let cure = "reserve some: echo 512 > /proc/sys/vm/nr_hugepages"
    let path = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"
    guard let bytes = try? GuestFile.program(path).read(),
      let count = UInt64(String(decoding: bytes, as: UTF8.self).filter(\.isNumber))
    else {
      return .init(
        name: name, status: .missing, detail: "this kernel has none (--backing hugetlb)", cure: nil)
    }
    return .init(
      name: name, status: count > 0 ? .available : .missing,
      detail: "\(count) free, for --backing hugetlb", cure: count > 0 ? nil : cure)
  }
}

extension HostCheck {
  /// What of the sandbox this kernel can put in force.
  static func sandboxFindings() -> [CheckReport.Finding] {
    let filters = SeccompFilter.isAvailable
    let abi = Landlock.abi
    let privileges = NoNewPrivileges.isSet
    return [
      .init(
        name: "no new privileges", status: privileges == nil ? .missing : .available,
        detail: privileges == true ? "set already by who started this" : "given up by a run",
        cure: nil),
      .init(
        name: "seccomp filters", status: filters ? .available : .missing,
        detail: "a list of system calls for each kind of thread",
        cure: filters
          ? nil : "use a kernel with CONFIG_SECCOMP_FILTER=y, or run with --sandbox off"),
      .init(
        name: "Landlock", status: abi > 0 ? .available : .missing,
        detail: abi > 0 ? "ABI \(abi): \(reach(ofABI: abi))" : "files stay within reach",
        cure: abi > 0 ? nil : "boot a kernel (Linux 5.13) with landlock in lsm="),
    ]
  }

  /// What a run would have in force, in one line; nil if it would refuse to run.
  static func sandboxConclusion() -> String? {
    guard SeccompFilter.isAvailable else { return nil }
    let abi = Landlock.abi
    return "no new privileges, seccomp" + (abi > 0 ? ", Landlock ABI \(abi)" : "; no Landlock")
  }

  private static func reach(ofABI abi: Int) -> String {
    var parts = ["files"]
    if abi >= 4 { parts.append("TCP") }
    if abi >= 5 { parts.append("devices") }
    if abi >= 6 { parts.append("signals") }
    return parts.joined(separator: ", ")
  }
}
