/// *Differentiated System Description Table* (ACPI 6.3 §5.2.11.1): the devices that no bus can
/// list.
enum DSDT {
  /// From 2 on, AML's integers have 64 bits.
  private static let revision: UInt8 = 2

  static func table(_ platform: ACPIPlatform) -> ACPITable {
    let terms: [AMLTerm] =
      [
        .scope(
          "\\_SB",
          [hostBridge(platform), motherboardMemory(platform)]
            + (platform.tpm == nil ? [] : [tpm])
            + (platform.hasGenerationID ? [generationID] : [])
            + (platform.hasVMBus ? [vmbus] : []) + processors(platform)),
        powerOff,
      ] + (platform.hasGenerationID ? [generationIDEvent] : [])
    return ACPITable(.dsdt, revision: revision, body: terms.bytes)
  }

  /// `\_S5`: sleep type 0 in both control registers turns the machine off, as UEFI firmware for
  /// this chip set does too. There is no other sleep state.
  private static var powerOff: AMLTerm {
    .name("\\_S5", .package([.integer(0), .integer(0), .integer(0), .integer(0)]))
  }

  /// VMBus, by the names that drivers know; the short one is no `_HID`. It has no memory or ports.
  /// Windows wants it to have an interrupt, which nothing raises: what comes comes by the SynIC.
  private static var vmbus: AMLTerm {
    .device(
      "VMBS",
      [
        .name("_HID", .string("MSFT1000")), .name("_CID", .string("VMBus")),
        .name("_UID", .integer(0)),
        .name("_DDN", .string("VMBUS")), .name("_STA", .integer(0x0F)),
        .name(
          "_CRS", .resourceTemplate([.irqNoFlags(ACPIFixedHardware.vmbusInterrupt)])),
      ])
  }

  /// One device per vCPU, `C000` and so on in hexadecimal; its UID is the one in the MADT.
  private static func processors(_ platform: ACPIPlatform) -> [AMLTerm] {
    (0..<platform.vcpuCount).map { uid in
      let digits = String(uid, radix: 16, uppercase: true)
      let name = AMLName("C" + String(repeating: "0", count: 3 - digits.count) + digits)
      return .device(
        name, [.name("_HID", .string("ACPI0007")), .name("_UID", .integer(UInt64(uid)))])
    }
  }

  /// Memory that is neither RAM nor in a PCI window, so that nothing is placed there. It stands
  /// beside the host bridge: what is below one must be in its windows.
  private static func motherboardMemory(_ platform: ACPIPlatform) -> AMLTerm {
    typealias Hardware = ACPIFixedHardware
    let addresses = platform.addresses
    var taken: [ResourceDescriptor] = []
    if let space = addresses.configurationSpace {
      taken.append(.memoryFixed(first: space.start, byteCount: space.byteCount))
    }
    taken.append(
      .memory32Fixed(first: Hardware.ioAPICAddress, byteCount: Hardware.ioAPICByteCount))
    if let base = addresses.rootComplexBase {
      taken.append(.memory32Fixed(first: base, byteCount: Hardware.rootComplexByteCount))
    }
    if platform.hasGenerationID {
      taken.append(
        .memory32Fixed(
          first: Hardware.generationIDAddress, byteCount: Hardware.generationIDByteCount))
    }
    taken.append(
      .memory32Fixed(first: Hardware.localAPICAddress, byteCount: Hardware.localAPICByteCount))
    return .device(
      "MBRM",
      [
        .name("_HID", .eisaID("PNP0C02")),
        .name("_UID", .integer(0)),
        .name("_CRS", .resourceTemplate(taken)),
      ])
  }
}
