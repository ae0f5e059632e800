extension DSDT {
  /// `PCI0`: the PCI Express host bridge, with the LPC bridge below it.
  ///
  /// It has no `_ADR`, for a device has that or `_HID`, never both.
  static func hostBridge(_ platform: ACPIPlatform) -> AMLTerm {
    .device(
      "PCI0",
      [
        .name("_HID", .eisaID("PNP0A08")),
        .name("_CID", .eisaID("PNP0A03")),
        .name("_UID", .integer(0)),
        .name("_SEG", .integer(0)),
        .name("_BBN", .integer(0)),
        .name("_CRS", .resourceTemplate(windows(platform))),
        .name("_PRT", interruptRouting),
        featureControl,
        lpcBridge(platform),
      ])
  }

  /// What the bridge hands on to PCI, and the configuration ports, which it keeps.
  private static func windows(_ platform: ACPIPlatform) -> [ResourceDescriptor] {
    let configurationPort = ACPIFixedHardware.pciConfigurationPort
    let configurationPortCount = ACPIFixedHardware.pciConfigurationPortCount
    let addresses = platform.addresses
    var windows: [ResourceDescriptor] = [
      // No more buses than there are registers for, or Linux complains.
      .wordBusNumber(0...(addresses.configurationSpace?.lastBus ?? 0xFF)),
      .io(first: configurationPort, portCount: configurationPortCount),
      .wordIO(0...(configurationPort - 1)),
      .wordIO((configurationPort + UInt16(configurationPortCount))...0xFFFF),
    ]
    if platform.legacyDevices.contains(.vga) {
      windows.append(.dWordMemory(0xA_0000...0xB_FFFF))
    }
    windows += addresses.pciMemoryWindows.map { .dWordMemory($0) }
    if let window = addresses.pciMemory64Window {
      windows.append(.qWordMemory(window))
    }
    return windows
  }

  /// `_PRT`: pins A to D of devices 1 to 31, hard-wired to global system interrupts: without link
  /// devices none has to be chosen. Device 0 is the bridge itself.
  private static var interruptRouting: AMLTerm {
    let anyFunction: UInt64 = 0xFFFF
    return .package(
      (1...31 as ClosedRange<UInt32>).flatMap { device in
        (0...3 as ClosedRange<UInt32>).map { pin in
          .package([
            .integer(UInt64(device) << 16 | anyFunction),
            .integer(UInt64(pin)),
            .integer(0),
            .integer(UInt64(ACPIFixedHardware.pciInterrupt(device: device, pin: pin))),
          ])
        }
      })
  }

  /// `_OSC` (ACPI 6.3 §6.2.11, PCI Firmware Specification 3.0 §4.5): an operating system asks for
  /// control of PCI Express features. It gets none, for no port here has hot-plug, errors or power
  /// management.
  private static var featureControl: AMLTerm {
    let capabilities = AMLTerm.argument(3)
    let status = AMLTerm.reference("CDW1")
    let control = AMLTerm.reference("CDW3")
    return .method(
      "_OSC", argumentCount: 4, isSerialized: true,
      [
        .createDWordField(capabilities, byteOffset: 0, "CDW1"),
        .if(
          .equal(.argument(0), .buffer(pciExpressUUID)),
          [
            .createDWordField(capabilities, byteOffset: 8, "CDW3"),
            .if(
              .not(.equal(.argument(1), .integer(1))),
              [.or(status, .integer(OSCStatus.unknownRevision), in: status)]),
            .if(
              .not(.equal(control, .integer(0))),
              [
                .or(status, .integer(OSCStatus.capabilitiesMasked), in: status),
                .store(.integer(0), in: control),
              ]),
          ]),
        .else([.or(status, .integer(OSCStatus.unknownUUID), in: status)]),
        .return(capabilities),
      ])
  }

  /// Bits of the first capability word that an answer may set.
  private enum OSCStatus {
    static let unknownUUID: UInt64 = 1 << 2
    static let unknownRevision: UInt64 = 1 << 3
    static let capabilitiesMasked: UInt64 = 1 << 4
  }

  /// 33DB4D5B-1FF7-401C-9657-7441C03DD766 as ASL's `ToUUID` has it: the first three groups are
  /// little-endian.
  private static let pciExpressUUID: [UInt8] = [
    0x5B, 0x4D, 0xDB, 0x33, 0xF7, 0x1F, 0x1C, 0x40,
    0x96, 0x57, 0x74, 0x41, 0xC0, 0x3D, 0xD7, 0x66,
  ]
}
