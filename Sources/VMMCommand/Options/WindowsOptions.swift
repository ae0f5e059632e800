internal import Devices
internal import Glibc
internal import MachineSpecification

/// What this host has, for machines that fit it.
struct HostSize: Equatable, Sendable {
  var memory: ByteCount
  /// Processors that are online.
  var processorCount: Int
  /// Whether swtpm is installed.
  var emulatesTPM = false
  /// Whether `--net user` works.
  var hasPasst = true

  static var ofHost: HostSize {
    let pages = UInt64(max(sysconf(Int32(_SC_PHYS_PAGES)), 0))
    return HostSize(
      memory: ByteCount(pages * UInt64(max(sysconf(Int32(_SC_PAGESIZE)), 0))),
      processorCount: max(sysconf(Int32(_SC_NPROCESSORS_ONLN)), 1),
      emulatesTPM: SoftwareTPM.program != nil,
      hasPasst: PasstProgram.path != nil)
  }
}

/// `vmm-run windows`: a PC that Windows is installed on or starts on, whatever else is asked for.
extension RunOptions {
  /// From what Windows Setup asks for to what a desktop has use for.
  private static let memory = ByteCount.gibi(4)...ByteCount.gibi(8)
  private static let vcpuCounts = 2...8
  /// What the variables' file is called, behind the disk's name.
  private static let variablesSuffix = ".vars"
  /// The same of the TPM's directory, in place of the variables' suffix.
  private static let tpmSuffix = ".tpm"

  /// - Parameter host: what memory and vCPUs go by.
  init(windows parsed: ParsedOptions, on host: HostSize) throws(UsageError) {
    var disks: [DiskSpec] = []
    for text in parsed.texts(.windowsDisk) { disks.append(try DiskSpec(windowsOption: text)) }
    var firmware = FirmwareSpec(
      option: parsed.text(.firmware) ?? FirmwareSpec.automaticImage)
    // The parser has refused a command line without any disk.
    let file = disks.first?.file ?? ""
    // What lies there is gone when the host starts again, and with it how Windows is started.
    if file.hasPrefix("/dev/"), !parsed.contains(.variables) {
      throw .missingCompanion(
        option: "\(OptionDefinition.windowsDisk.name) /dev/...",
        needs: OptionDefinition.variables.synopsis)
    }
    firmware.variables = file + Self.variablesSuffix
    var computer = ComputerSpec(.firmware(firmware))
    computer.disks = disks
    computer.clock = .local
    computer.display = .usual
    computer.usb = [.tablet]
    if host.emulatesTPM {
      computer.tpm = .directory(
        Self.tpmDirectory(beside: parsed.text(.variables) ?? file + Self.variablesSuffix))
    }
    if host.hasPasst { computer.networks = [NetworkSpec(.user([]))] }
    // Windows has no driver for it.
    computer.randomNumbers = .off
    if let iso = parsed.text(.iso) {
      computer.cdroms = [CDROMSpec(file: iso)]
      // Its loader asks for a key, and leaves the disk its turn if none comes.
      firmware.bootOrder = [.cdrom(0), .disk(0)]
      computer.boot = .firmware(firmware)
    }
    var partition = PartitionSpec(memory: Self.memory(on: host))
    partition.vcpuCount = min(
      max(host.processorCount, Self.vcpuCounts.lowerBound), Self.vcpuCounts.upperBound)
    try self.init(
      parsed.without(.windowsDisk), changing: MachineSpec(.computer(computer), partition),
      usualViewers: VNCOptions.firstFree)
    lacksTPM = !host.emulatesTPM && !parsed.contains(.tpm)
    lacksNetwork = !host.hasPasst && !parsed.contains(.net)
  }

  /// `windows.img.tpm` for `windows.img.vars`: both belong to one machine, and move together.
  private static func tpmDirectory(beside variables: String) -> String {
    let name =
      variables.hasSuffix(variablesSuffix)
      ? String(variables.dropLast(variablesSuffix.count)) : variables
    return name + tpmSuffix
  }

  /// Half of the host's, in whole GiB.
  private static func memory(on host: HostSize) -> ByteCount {
    min(max(.gibi(host.memory.bytes >> 31), memory.lowerBound), memory.upperBound)
  }
}

extension DiskSpec {
  /// `FILE[:SIZE]` and what `--disk` of `run` has behind a comma. What follows a colon is a size
  /// only if it reads as one, with a unit: names of block devices end in a colon and a number.
  fileprivate init(windowsOption text: String) throws(UsageError) {
    try self.init(option: text)
    let scalars = file.unicodeScalars
    guard let colon = scalars.lastIndex(of: ":"), colon != scalars.startIndex else { return }
    let size = String(scalars[scalars.index(after: colon)...])
    guard (try? ByteCount(parsing: size)) != nil, UInt64(size) == nil else { return }
    file = String(scalars[..<colon])
    do throws(SpecValueError) {
      newByteCount = try DiskSpec.newByteCount(parsing: size, part: "FILE:")
    } catch {
      throw .invalidValue(option: OptionDefinition.windowsDisk.name, error)
    }
  }
}

extension OptionDefinition {
  static let iso = OptionDefinition(
    name: "--iso", placeholder: "FILE",
    summary: "The installation medium, in a CD drive; it is tried before the disk.")

  static let windowsDisk = OptionDefinition(
    name: "--disk", placeholder: "FILE[:SIZE]",
    summary: """
      The disk. With SIZE, such as 64G, it is made if there is no such file; it takes space as it \
      is written. What 'run --disk' has behind a comma is understood too.
      """,
    isRepeatable: true)
}
