internal import MachineSpecification

/// The options of `run --firmware`.
extension OptionDefinition {
  static let firmware = OptionDefinition(
    name: "--firmware", placeholder: "FILE",
    summary: """
      The guest: UEFI firmware, such as /usr/share/OVMF/OVMF_CODE_4M.fd. Without FILE, or with auto: \
      the first that fits of those that QEMU's firmware descriptors name; 'vmm-run check' shows it.
      """,
    impliedValue: FirmwareSpec.automaticImage,
    words: [FirmwareSpec.automaticImage])

  static let variables = OptionDefinition(
    name: "--vars", placeholder: "FILE",
    summary: """
      Where the firmware's variables stay; made from the template if there is no such file. \
      Without it the variables are forgotten.
      """)

  static let variablesTemplate = OptionDefinition(
    name: "--vars-template", placeholder: "FILE",
    summary: """
      Empty variables of this firmware (default: the firmware's name with VARS for CODE, or as \
      its descriptor says).
      """)

  static let noPersist = OptionDefinition(
    name: "--no-persist", placeholder: nil,
    summary: "Start with the variables of the file, and keep no changes.")

  static let secureBoot = OptionDefinition(
    name: "--secure-boot", placeholder: nil,
    summary: """
      Start what is signed alone: firmware with keys enrolled, which it keeps in system management \
      mode. An image that is named needs --vars-template, too, such as OVMF_VARS_4M.ms.fd.
      """)

  static let uuid = OptionDefinition(
    name: "--uuid", placeholder: "UUID",
    summary: "The machine's UUID (default: one that goes by the first disk's path).")

  static let smbios = OptionDefinition(
    name: "--smbios", placeholder: "KEY=TEXT,...",
    summary: """
      What the machine calls itself, for inventories and licences: manufacturer, product, version, \
      serial, sku, family and asset, of up to 64 characters of ASCII, and oem, of up to 255, as \
      often as wanted. A comma in a text is doubled.
      """)

  static let bootOrder = OptionDefinition(
    name: "--boot-order", placeholder: "LIST",
    summary: """
      What is tried first, such as cdrom,disk1,disk0; cdrom1 is the second drive (default: as the \
      variables say).
      """)

  static let firmwareFile = OptionDefinition(
    name: "--fw-cfg", placeholder: "NAME=FILE",
    summary: "A file for the guest (fw_cfg), under a name such as opt/org.example/key.",
    isRepeatable: true)
}
