/// A field of the setup header, at the same offset in a bzImage and in boot_params.
///
/// Source: Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header".
struct SetupField: Hashable, Sendable {
  /// As the document spells it.
  let name: String
  let offset: Int
  let byteCount: Int

  private init(_ name: String, _ offset: Int, _ byteCount: Int) {
    self.name = name
    self.offset = offset
    self.byteCount = byteCount
  }

  static let setupSectors = SetupField("setup_sects", 0x1F1, 1)
  static let systemSize = SetupField("syssize", 0x1F4, 4)
  static let videoMode = SetupField("vid_mode", 0x1FA, 2)
  static let bootFlag = SetupField("boot_flag", 0x1FE, 2)
  static let jump = SetupField("jump", 0x200, 1)
  static let jumpDistance = SetupField("jump distance", 0x201, 1)
  static let magic = SetupField("header", 0x202, 4)
  static let version = SetupField("version", 0x206, 2)
  static let loaderType = SetupField("type_of_loader", 0x210, 1)
  static let loadFlags = SetupField("loadflags", 0x211, 1)
  static let code32Start = SetupField("code32_start", 0x214, 4)
  static let initrdAddress = SetupField("ramdisk_image", 0x218, 4)
  static let initrdByteCount = SetupField("ramdisk_size", 0x21C, 4)
  static let commandLineAddress = SetupField("cmd_line_ptr", 0x228, 4)
  static let initrdMaximum = SetupField("initrd_addr_max", 0x22C, 4)
  static let alignment = SetupField("kernel_alignment", 0x230, 4)
  static let relocatable = SetupField("relocatable_kernel", 0x234, 1)
  static let extendedLoadFlags = SetupField("xloadflags", 0x236, 2)
  static let commandLineByteCount = SetupField("cmdline_size", 0x238, 4)
  static let payloadOffset = SetupField("payload_offset", 0x248, 4)
  static let payloadByteCount = SetupField("payload_length", 0x24C, 4)
  static let setupData = SetupField("setup_data", 0x250, 8)
  static let preferredAddress = SetupField("pref_address", 0x258, 8)
  static let initByteCount = SetupField("init_size", 0x260, 4)
}
