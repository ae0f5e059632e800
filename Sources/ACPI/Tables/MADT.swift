internal import Bytes

/// *Multiple APIC Description Table* (ACPI 6.3 §5.2.12): the processors and how interrupts reach
/// them.
enum MADT {
  private static let revision: UInt8 = 5
  /// *PCAT_COMPAT*: there are 8259s too, to be masked.
  private static let hasPIC: UInt32 = 1
  /// *Enabled*, of a processor.
  private static let enabled: UInt32 = 1
  /// The first APIC id that takes an x2APIC entry: 0xFF in a local APIC's entry means all
  /// processors.
  private static let firstX2APICID: UInt32 = 0xFF
  /// *MPS INTI flags*: active high (1) and level triggered (3).
  private static let levelActiveHigh: UInt16 = 0b1101
  private static let busConform: UInt16 = 0
  private static let isaInterruptCount: UInt8 = 16

  private enum EntryType {
    static let localAPIC: UInt8 = 0
    static let ioAPIC: UInt8 = 1
    static let interruptOverride: UInt8 = 2
    static let localAPICNMI: UInt8 = 4
    static let localX2APIC: UInt8 = 9
    static let localX2APICNMI: UInt8 = 10
  }

  static func table(_ platform: ACPIPlatform) -> ACPITable {
    typealias Hardware = ACPIFixedHardware
    var body = Hardware.localAPICAddress.littleEndianBytes + hasPIC.littleEndianBytes
    for (uid, apicID) in platform.apicIDs.enumerated() {
      body += processor(uid: UInt32(uid), apicID: apicID)
    }
    body += entry(
      EntryType.ioAPIC,
      [Hardware.ioAPICID, 0] + Hardware.ioAPICAddress.littleEndianBytes
        + UInt32(0).littleEndianBytes)
    body += interruptOverride(irq: 0, gsi: Hardware.timerGSI, flags: busConform)
    let systemControl = platform.addresses.systemControlInterrupt
    // Others are not ISA's: what they are like is what PCI's are like.
    if systemControl < isaInterruptCount {
      body += interruptOverride(
        irq: systemControl, gsi: UInt32(systemControl), flags: levelActiveHigh)
    }
    body += nmi(hasX2APICEntries: platform.apicIDs.contains { $0 >= firstX2APICID })
    return ACPITable(.madt, revision: revision, body: body)
  }

  /// A processor. Ids ascend, so that one below 255 has a UID below 255.
  private static func processor(uid: UInt32, apicID: UInt32) -> [UInt8] {
    if apicID < firstX2APICID {
      return entry(
        EntryType.localAPIC, [UInt8(uid), UInt8(apicID)] + enabled.littleEndianBytes)
    }
    return entry(
      EntryType.localX2APIC,
      [0, 0] + apicID.littleEndianBytes + enabled.littleEndianBytes + uid.littleEndianBytes)
  }

  private static func interruptOverride(irq: UInt8, gsi: UInt32, flags: UInt16) -> [UInt8] {
    let isaBus: UInt8 = 0
    return entry(
      EntryType.interruptOverride,
      [isaBus, irq] + gsi.littleEndianBytes + flags.littleEndianBytes)
  }

  /// NMI at LINT1 of all processors.
  private static func nmi(hasX2APICEntries: Bool) -> [UInt8] {
    let line: UInt8 = 1
    let flags = busConform.littleEndianBytes
    let xAPIC = entry(EntryType.localAPICNMI, [0xFF] + flags + [line])
    guard hasX2APICEntries else { return xAPIC }
    return xAPIC
      + entry(
        EntryType.localX2APICNMI, flags + UInt32.max.littleEndianBytes + [line, 0, 0, 0])
  }

  private static func entry(_ type: UInt8, _ content: [UInt8]) -> [UInt8] {
    [type, UInt8(content.count + 2)] + content
  }
}
