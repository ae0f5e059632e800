extension DSDT {
  /// `LPC`: the bridge behind which the ports of a PC are, and the devices there.
  static func lpcBridge(_ platform: ACPIPlatform) -> AMLTerm {
    let devices = platform.legacyDevices
    let address = UInt64(ACPIFixedHardware.lpcDeviceNumber) << 16
    var content: [AMLTerm] = [.name("_ADR", .integer(address)), motherboardPorts(platform)]
    if devices.contains(.serialPort1) { content.append(serialPort1) }
    if devices.contains(.ps2Controller) { content += [keyboard, mouse] }
    if devices.contains(.realTimeClock) { content.append(realTimeClock) }
    return .device("LPC", content)
  }

  /// Ports that are taken without a device of their own. The reset port is among the host bridge's.
  private static func motherboardPorts(_ platform: ACPIPlatform) -> AMLTerm {
    typealias Hardware = ACPIFixedHardware
    var ports: [ResourceDescriptor] = [
      .io(first: Hardware.powerEventPort, portCount: Hardware.powerPortCount)
    ]
    if platform.legacyDevices.contains(.firmwareConfiguration) {
      ports.append(
        .io(
          first: Hardware.firmwareConfigurationPort,
          portCount: Hardware.firmwareConfigurationPortCount))
    }
    return device("MBRP", "PNP0C02", uid: 1, ports)
  }

  private static var serialPort1: AMLTerm {
    device(
      "COM1", "PNP0501", uid: 1,
      [.io(first: 0x3F8, portCount: 8), .irqNoFlags(ACPIFixedHardware.serialPort1Interrupt)])
  }

  /// The keyboard; the controller's ports are its own.
  private static var keyboard: AMLTerm {
    device(
      "KBD", "PNP0303",
      [
        .io(first: 0x60, portCount: 1), .io(first: 0x64, portCount: 1),
        .irqNoFlags(ACPIFixedHardware.keyboardInterrupt),
      ])
  }

  private static var mouse: AMLTerm {
    device("MOU", "PNP0F13", [.irqNoFlags(ACPIFixedHardware.mouseInterrupt)])
  }

  private static var realTimeClock: AMLTerm {
    device(
      "RTC", "PNP0B00",
      [.io(first: 0x70, portCount: 2), .irqNoFlags(ACPIFixedHardware.realTimeClockInterrupt)])
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
