public import SMBIOS

/// What a machine starts, and with it what the machine is.
public enum GuestSpec: Hashable, Sendable {
  /// A flat 64-bit image, by its file, on vCPUs and memory alone.
  case program(file: String)
  /// An operating system, on a PC.
  case computer(ComputerSpec)

  /// A flat program's vCPUs have fixed places for their stacks.
  public static let programVCPUCounts = 1...4
  /// A PC's disks have as many queues as it has vCPUs; more would only be more memory.
  public static let computerVCPUCounts = 1...64

  /// How many vCPUs such a machine can have.
  public var vcpuCounts: ClosedRange<Int> {
    switch self {
    case .program: Self.programVCPUCounts
    case .computer: Self.computerVCPUCounts
    }
  }

  /// The memory of such a machine, unless another size is asked for.
  public var usualMemory: ByteCount {
    switch self {
    case .program: .mebi(64)
    case .computer: ComputerSpec.usualMemory
    }
  }
}

/// What a PC boots.
public enum BootSpec: Hashable, Sendable {
  case kernel(KernelSpec)
  case firmware(FirmwareSpec)
}

/// A Linux kernel and what it is started with. A thread-safe value.
public struct KernelSpec: Hashable, Sendable {
  /// A bzImage, or an ELF file with a PVH entry.
  public var file: String
  /// Nil for none.
  public var initrd: String?
  /// Nil for the first serial port as the console.
  public var commandLine: String?

  /// A kernel alone.
  public init(file: String) {
    self.file = file
  }
}

/// UEFI firmware, and what it gets by fw_cfg. A thread-safe value.
public struct FirmwareSpec: Hashable, Sendable {
  /// A file for the guest, by the name under which it finds it.
  public struct Attachment: Hashable, Sendable {
    public var name: String
    public var file: String

    public init(name: String, file: String) {
      self.name = name
      self.file = file
    }
  }

  /// The image; nil for the first that fits of those that QEMU's firmware descriptors name.
  public var image: String?
  /// Where the variables stay; nil to start with empty ones and keep none.
  public var variables: String?
  /// What a new variables file is made from; nil for the one that belongs to the image.
  public var template: String?
  /// Whether changes of variables reach the file.
  public var keepsVariables = true
  /// Whether firmware starts what is signed alone, and alone can change the variables with the
  /// keys: in system management mode.
  public var hasSecureBoot = false
  /// Nil for one that goes by the first disk.
  public var uuid: SystemUUID?
  /// What the machine calls itself.
  public var smbiosTexts = SMBIOSTexts()
  /// What firmware tries first, each at most once; empty leaves the order to the firmware.
  public var bootOrder: [BootDeviceSpec] = []
  public var attachments: [Attachment] = []

  /// Firmware alone.
  public init(image: String?) {
    self.image = image
  }

  /// Reads `cdrom,disk1`: devices of the machine by their place, each at most once.
  package static func bootOrder(
    parsing text: String, of computer: ComputerSpec
  ) throws(SpecValueError) -> [BootDeviceSpec] {
    try bootOrder(
      text.split(separator: ",", omittingEmptySubsequences: false).map(String.init), of: computer)
  }

  package static func bootOrder(
    _ words: [String], of computer: ComputerSpec
  ) throws(SpecValueError) -> [BootDeviceSpec] {
    let devices =
      computer.disks.indices.map { BootDeviceSpec.disk($0) }
      + computer.cdroms.indices.map { BootDeviceSpec.cdrom($0) }
    let names = devices.map(\.name)
    guard words.isEmpty || !names.isEmpty else {
      throw SpecValueError("there is neither a disk nor a CD drive to start from")
    }
    var order: [BootDeviceSpec] = []
    for word in words {
      // The first drive by its number, too.
      let name = word == "cdrom0" ? BootDeviceSpec.cdrom(0).name : word
      guard let index = names.firstIndex(of: name) else { throw .unknown(word, choices: names) }
      guard !order.contains(devices[index]) else { throw .repeated(word) }
      order.append(devices[index])
    }
    return order
  }

  /// What the template of an image is called: Debian's `OVMF_CODE_4M.fd` goes with
  /// `OVMF_VARS_4M.fd`.
  ///
  /// - Returns: nil for a name that does not say that it is the code's half.
  package static func usualTemplate(of image: String) -> String? {
    let parts = image.split(separator: "/", omittingEmptySubsequences: false)
    guard let name = parts.last, name.contains("CODE") || name.contains("code") else { return nil }
    let template = name.replacing("CODE", with: "VARS").replacing("code", with: "vars")
    return (parts.dropLast() + [template[...]]).joined(separator: "/")
  }
}

/// A device that firmware may start from, by its place in a machine's description.
public enum BootDeviceSpec: Hashable, Sendable {
  /// An index of `ComputerSpec.disks`.
  case disk(Int)
  /// An index of `ComputerSpec.cdroms`.
  case cdrom(Int)

  /// Its name in a boot order.
  package var name: String {
    switch self {
    case .disk(let index): "disk\(index)"
    case .cdrom(0): "cdrom"
    case .cdrom(let index): "cdrom\(index)"
    }
  }
}

extension SystemUUID {
  /// Reads a UUID in its usual form.
  package init(parsing text: String) throws(SpecValueError) {
    guard let uuid = SystemUUID(text) else {
      throw SpecValueError(
        "\(QuotedText(text)) is not a UUID such as 12345678-9abc-def0-1234-56789abcdef0")
    }
    self = uuid
  }
}
