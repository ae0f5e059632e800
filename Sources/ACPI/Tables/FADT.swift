internal import Bytes

/// *Fixed ACPI Description Table* (ACPI 6.3 §5.2.9): ACPI's fixed registers, of a machine that has
/// them all (not hardware-reduced) and is in ACPI mode from the start.
enum FADT {
  private static let revision: UInt8 = 6
  private static let minorRevision: UInt8 = 3
  private static let byteCount = 276

  /// Byte offsets from the table's start. What is not here is zero: no second blocks, no SMI
  /// command port, no processor states.
  private enum Offset {
    static let firmwareControl = 36
    static let dsdt = 40
    static let sciInterrupt = 46
    static let pm1aEventBlock = 56
    static let pm1aControlBlock = 64
    static let pmTimerBlock = 76
    static let generalEventBlock = 80
    static let pm1EventLength = 88
    static let pm1ControlLength = 89
    static let pmTimerLength = 91
    static let generalEventLength = 92
    static let c2Latency = 96
    static let c3Latency = 98
    static let century = 108
    static let bootArchitecture = 109
    static let flags = 112
    static let resetRegister = 116
    static let resetValue = 128
    static let minorRevision = 131
    static let extendedDSDT = 140
    static let extendedPM1aEventBlock = 148
    static let extendedPM1aControlBlock = 172
    static let extendedPMTimerBlock = 208
    static let extendedGeneralEventBlock = 220
  }

  /// *P_LVL2_LAT*, *P_LVL3_LAT*: latencies past 100 µs and 1000 µs say that C2 and C3 do not exist.
  private static let noC2Latency: UInt16 = 101
  private static let noC3Latency: UInt16 = 1001
  /// The CMOS register of the century.
  private static let centuryRegister: UInt8 = 0x32
  /// The most processors that the flat logical destination mode of an xAPIC reaches.
  private static let flatLogicalProcessorCount = 8

  /// The table; it points at the FACS and the DSDT.
  ///
  /// The FACS is in the 32-bit field only: *X_FIRMWARE_CTRL* must be zero when that is not. The
  /// DSDT is in both, equal.
  static func table(_ platform: ACPIPlatform) -> ACPITable {
    var bytes = [UInt8](repeating: 0, count: byteCount)
    bytes.storeLE(UInt16(platform.addresses.systemControlInterrupt), at: Offset.sciInterrupt)
    store(platform.addresses.powerManagement, in: &bytes)
    bytes.storeLE(noC2Latency, at: Offset.c2Latency)
    bytes.storeLE(noC3Latency, at: Offset.c3Latency)
    if platform.legacyDevices.contains(.realTimeClock) {
      bytes[Offset.century] = centuryRegister
    }
    bytes.storeLE(bootArchitecture(platform).rawValue, at: Offset.bootArchitecture)
    bytes.storeLE(flags(platform).rawValue, at: Offset.flags)
    store(
      GenericAddress(port: ACPIFixedHardware.resetPort, .byte, bitCount: 8),
      in: &bytes, at: Offset.resetRegister)
    bytes[Offset.resetValue] = ACPIFixedHardware.resetValue
    bytes[Offset.minorRevision] = minorRevision
    return ACPITable(
      .fadt, revision: revision, body: Array(bytes[ACPIHeader.byteCount...]),
      pointers: [
        ACPITablePointer(byteOffset: Offset.firmwareControl, byteCount: 4, target: .facs),
        ACPITablePointer(byteOffset: Offset.dsdt, byteCount: 4, target: .dsdt),
        ACPITablePointer(byteOffset: Offset.extendedDSDT, byteCount: 8, target: .dsdt),
      ])
  }

  /// Stores the register blocks, each as a port with a length and as a generic address.
  private static func store(_ ports: ACPIAddresses.PowerManagement, in bytes: inout [UInt8]) {
    typealias Hardware = ACPIFixedHardware
    bytes.storeLE(UInt32(ports.eventPort), at: Offset.pm1aEventBlock)
    bytes.storeLE(UInt32(ports.controlPort), at: Offset.pm1aControlBlock)
    bytes.storeLE(UInt32(ports.timerPort), at: Offset.pmTimerBlock)
    bytes[Offset.pm1EventLength] = Hardware.powerEventByteCount
    bytes[Offset.pm1ControlLength] = Hardware.powerControlByteCount
    bytes[Offset.pmTimerLength] = Hardware.powerTimerByteCount
    store(
      GenericAddress(port: ports.eventPort, .word, bitCount: 8 * Hardware.powerEventByteCount),
      in: &bytes, at: Offset.extendedPM1aEventBlock)
    store(
      GenericAddress(port: ports.controlPort, .word, bitCount: 8 * Hardware.powerControlByteCount),
      in: &bytes, at: Offset.extendedPM1aControlBlock)
    store(
      GenericAddress(
        port: ports.timerPort, .doubleWord, bitCount: 8 * Hardware.powerTimerByteCount),
      in: &bytes, at: Offset.extendedPMTimerBlock)
    guard let generalEventPort = ports.generalEventPort else { return }
    bytes.storeLE(UInt32(generalEventPort), at: Offset.generalEventBlock)
    bytes[Offset.generalEventLength] = Hardware.generalEventByteCount
    store(
      GenericAddress(
        port: generalEventPort, .byte, bitCount: 8 * Hardware.generalEventByteCount),
      in: &bytes, at: Offset.extendedGeneralEventBlock)
  }

  private static func store(
    _ address: GenericAddress, in bytes: inout [UInt8], at byteOffset: Int
  ) {
    bytes.replaceSubrange(
      byteOffset..<(byteOffset + GenericAddress.byteCount), with: address.bytes)
  }

  private static func bootArchitecture(_ platform: ACPIPlatform) -> FADTBootArchitecture {
    let devices = platform.legacyDevices
    var flags: FADTBootArchitecture = []
    if !devices.isDisjoint(with: [.serialPort1, .ps2Controller, .realTimeClock]) {
      flags.insert(.legacyDevices)
    }
    if devices.contains(.ps2Controller) { flags.insert(.has8042) }
    if !devices.contains(.vga) { flags.insert(.vgaNotPresent) }
    if !devices.contains(.realTimeClock) { flags.insert(.cmosClockNotPresent) }
    return flags
  }

  private static func flags(_ platform: ACPIPlatform) -> FADTFlags {
    var flags: FADTFlags = [
      .wbinvd, .c1OnAllProcessors, .noFixedSleepButton, .clockWakesFromS4, .timerHas32Bits,
      .hasResetRegister,
    ]
    if platform.vcpuCount > flatLogicalProcessorCount { flags.insert(.forceAPICClusterModel) }
    return flags
  }
}

/// *Fixed feature flags* of the FADT (ACPI 6.3 table 5-35); those that our machines set.
///
/// *PWR_BUTTON*, bit 4, stays clear: the power button is in the fixed registers.
struct FADTFlags: OptionSet, Sendable {
  let rawValue: UInt32

  /// *WBINVD*: the instruction works.
  static let wbinvd = FADTFlags(rawValue: 1 << 0)
  /// *PROC_C1*: all processors have C1.
  static let c1OnAllProcessors = FADTFlags(rawValue: 1 << 2)
  /// *SLP_BUTTON*: there is no sleep button in the fixed registers.
  static let noFixedSleepButton = FADTFlags(rawValue: 1 << 5)
  /// *RTC_S4*: without meaning as long as there is no S4, but what systems find on a q35.
  static let clockWakesFromS4 = FADTFlags(rawValue: 1 << 7)
  /// *TMR_VAL_EXT*: the timer counts 32 bits, not 24.
  static let timerHas32Bits = FADTFlags(rawValue: 1 << 8)
  /// *RESET_REG_SUP*: the reset register works.
  static let hasResetRegister = FADTFlags(rawValue: 1 << 10)
  /// *FORCE_APIC_CLUSTER_MODEL*: more than eight processors need logical destinations in clusters.
  static let forceAPICClusterModel = FADTFlags(rawValue: 1 << 18)
}

/// *IA-PC boot architecture flags* of the FADT (ACPI 6.3 table 5-36); those that our machines set.
struct FADTBootArchitecture: OptionSet, Sendable {
  let rawValue: UInt16

  /// *LEGACY_DEVICES*: there are devices on an LPC or ISA bus.
  static let legacyDevices = FADTBootArchitecture(rawValue: 1 << 0)
  /// *8042*: ports 0x60 and 0x64 are a keyboard controller.
  static let has8042 = FADTBootArchitecture(rawValue: 1 << 1)
  /// *VGA Not Present*: VGA's memory and ports must not be touched.
  static let vgaNotPresent = FADTBootArchitecture(rawValue: 1 << 2)
  /// *CMOS RTC Not Present*
  static let cmosClockNotPresent = FADTBootArchitecture(rawValue: 1 << 5)
}

/// A register's place (*Generic Address Structure*, ACPI 6.3 §5.2.3.2); ours are all ports.
struct GenericAddress: Hashable, Sendable {
  /// *Access Size*
  enum Access: UInt8, Sendable {
    case byte = 1
    case word = 2
    case doubleWord = 3
  }

  static let byteCount = 12
  /// *Address Space ID* of ports.
  private static let systemIO: UInt8 = 1

  /// The encoded place: space, width and offset in bits, access, address.
  let bytes: [UInt8]

  init(port: UInt16, _ access: Access, bitCount: UInt8) {
    bytes = [Self.systemIO, bitCount, 0, access.rawValue] + UInt64(port).littleEndianBytes
  }
}
