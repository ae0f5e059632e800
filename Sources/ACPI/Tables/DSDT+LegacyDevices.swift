extension DSDT {
  /// `LPC`: the bridge behind which the ports of a PC are, and the devices there.
  static func lpcBridge(_ platform: ACPIPlatform) -> AMLTerm {
    let devices = platform.legacyDevices
    let address = UInt64(ACPIFixedHardware.lpcDeviceNumber) << 16
    var content: [AMLTerm] = [
      .name("_ADR", .integer(address)), motherboardPorts(platform.addresses.powerManagement),
    ]
    if devices.contains(.serialPort1) { content.append(serialPort1) }
    if devices.contains(.ps2Controller) { content += [keyboard, mouse] }
    if devices.contains(.realTimeClock) { content.append(realTimeClock) }
    if devices.contains(.firmwareConfiguration) { content.append(firmwareConfiguration) }
    return .device("LPC", content)
  }

  /// Ports that are taken without a device of their own. The reset port is among the host bridge's.
  private static func motherboardPorts(_ power: ACPIAddresses.PowerManagement) -> AMLTerm {
    device(
      "MBRP", "PNP0C02", uid: 1, [.io(first: power.eventPort, portCount: power.portCount)])
  }

  private static var serialPort1: AMLTerm {
    device(
      "COM1", "PNP0501", uid: 1,
      [
        .io(
          first: ACPIFixedHardware.serialPort1, portCount: ACPIFixedHardware.serialPort1Count),
        .irqNoFlags(ACPIFixedHardware.serialPort1Interrupt),
      ])
  }

  /// The keyboard; the controller's ports are its own.
  private static var keyboard: AMLTerm {
    device(
      "KBD", "PNP0303",
      [
        .io(first: ACPIFixedHardware.keyboardDataPort, portCount: 1),
        .io(first: ACPIFixedHardware.keyboardCommandPort, portCount: 1),
        .irqNoFlags(ACPIFixedHardware.keyboardInterrupt),
      ])
  }

  private static var mouse: AMLTerm {
    device("MOU", "PNP0F13", [.irqNoFlags(ACPIFixedHardware.mouseInterrupt)])
  }

  private static var realTimeClock: AMLTerm {
    device(
      "RTC", "PNP0B00",
      [
        .io(
          first: ACPIFixedHardware.realTimeClockPort,
          portCount: ACPIFixedHardware.realTimeClockPortCount),
        .irqNoFlags(ACPIFixedHardware.realTimeClockInterrupt),
      ])
  }

  /// fw_cfg, by the name that Linux's driver knows. Present and decoding, but not to be shown
  /// (*_STA*, ACPI 6.3 §6.3.7): Windows has no driver for it, and would list it as unknown.
  private static var firmwareConfiguration: AMLTerm {
    .device(
      "FWCF",
      [
        .name("_HID", .string("QEMU0002")), .name("_STA", .integer(0x0B)),
        .name(
          "_CRS",
          .resourceTemplate([
            .io(
              first: ACPIFixedHardware.firmwareConfigurationPort,
              portCount: ACPIFixedHardware.firmwareConfigurationPortCount)
          ])),
      ])
  }

  private static func device(
    _ name: AMLName, _ id: EISAID, uid: UInt64? = nil, _ resources: [ResourceDescriptor]
  ) -> AMLTerm {
    let uniqueID = uid.map { [AMLTerm.name("_UID", .integer($0))] } ?? []
    return .device(
      name,
      [.name("_HID", .eisaID(id))] + uniqueID + [.name("_CRS", .resourceTemplate(resources))])
  }
}
