public import Devices

/// What a machine starts, and with it what the machine is.
public enum GuestImage: Sendable {
  /// A flat 64-bit image, loaded and entered at `BootPlan.programAddress`, with the configuration's
  /// port devices and nothing else.
  case program([UInt8])
  /// A Linux kernel, on a PC.
  case linux(LinuxGuest)
  /// UEFI firmware, on a PC, which boots what its disks have.
  case firmware(FirmwareGuest)
}

extension GuestImage {
  var hasSystemManagement: Bool {
    if case .firmware(let firmware) = self { firmware.hasSystemManagement } else { false }
  }
}

/// UEFI firmware and its variables.
public struct FirmwareGuest: Sendable {
  /// Lies right below 4 GiB, where the reset vector is.
  public var image: FirmwareImage
  /// Lies right below the image; nil if the image has its variables in it, or keeps none.
  public var variables: FlashChip?

  /// Whether there is system management mode, in which alone the variables can be changed: what
  /// firmware with Secure Boot needs. It takes 16 MiB of the memory.
  public var hasSystemManagement: Bool

  /// Firmware, with or without a chip for its variables.
  public init(
    image: FirmwareImage, variables: FlashChip? = nil, hasSystemManagement: Bool = false
  ) {
    self.hasSystemManagement = hasSystemManagement
    self.image = image
    self.variables = variables
  }
}

/// A Linux kernel and what it is started with.
public struct LinuxGuest: Sendable {
  /// A bzImage, or a vmlinux with a PVH entry.
  public var kernel: BootFile
  /// Loaded as it is; nil for none.
  public var initrd: BootFile?
  /// Bytes without a NUL, in no particular encoding.
  public var commandLine: [UInt8]

  /// A command line that is text.
  public init(kernel: BootFile, initrd: BootFile? = nil, commandLine: String) {
    self.init(kernel: kernel, initrd: initrd, commandLine: Array(commandLine.utf8))
  }

  /// A command line in any encoding.
  public init(kernel: BootFile, initrd: BootFile? = nil, commandLine: [UInt8]) {
    self.kernel = kernel
    self.initrd = initrd
    self.commandLine = commandLine
  }
}
