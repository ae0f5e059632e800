/// Addresses, ports and interrupts that are the same in every machine described here: a q35 chip
/// set reduced to what operating systems use.
public enum ACPIFixedHardware {
  /// *PM1_EVT_LEN*
  public static let powerEventByteCount: UInt8 = 4
  /// *PM1_CNT_LEN*
  public static let powerControlByteCount: UInt8 = 2
  /// *PM_TMR_LEN*
  public static let powerTimerByteCount: UInt8 = 4

  /// *RESET_REG*: the port where a write of `resetValue` resets the machine.
  public static let resetPort: UInt16 = 0xCF9
  /// *RESET_VALUE*: reset the CPU, and all of it.
  public static let resetValue: UInt8 = 0x06
  /// PCI's configuration ports, the reset port among them.
  public static let pciConfigurationPort: UInt16 = 0xCF8
  /// Address and data, 4 bytes each.
  public static let pciConfigurationPortCount: UInt8 = 8
  /// COM1's registers.
  public static let serialPort1: UInt16 = 0x3F8
  /// Their number.
  public static let serialPort1Count: UInt8 = 8
  /// The keyboard controller's data port.
  public static let keyboardDataPort: UInt16 = 0x60
  /// Its command and status port.
  public static let keyboardCommandPort: UInt16 = 0x64
  /// The real-time clock's index port; data follows.
  public static let realTimeClockPort: UInt16 = 0x70
  /// Index and data.
  public static let realTimeClockPortCount: UInt8 = 2
  /// fw_cfg's selector, data and DMA ports.
  public static let firmwareConfigurationPort: UInt16 = 0x510
  /// Selector, data, two unused ports, and an address of 8 bytes.
  public static let firmwareConfigurationPortCount: UInt8 = 12

  /// The length of the chip set's root complex registers (*RCBA*); nothing answers there, but it is
  /// not free.
  public static let rootComplexByteCount: UInt32 = 16 << 10
  /// The only I/O APIC, from global system interrupt 0 on.
  public static let ioAPICAddress: UInt32 = 0xFEC0_0000
  /// Its page.
  public static let ioAPICByteCount: UInt32 = 4 << 10
  /// Its id; ids of I/O APICs and of local APICs do not clash.
  public static let ioAPICID: UInt8 = 0
  /// Each vCPU's local APIC, and the addresses that message signalled interrupts are written to.
  public static let localAPICAddress: UInt32 = 0xFEE0_0000
  /// All of these addresses.
  public static let localAPICByteCount: UInt32 = 1 << 20

  /// A TPM's command response buffer: five localities of 4 KiB.
  public static let tpmAddress: UInt32 = 0xFED4_0000
  /// All of them.
  public static let tpmByteCount: UInt32 = 0x5000
  /// The memory by which firmware gets requests for the TPM (*physical presence interface*).
  public static let physicalPresenceAddress: UInt32 = 0xFED4_5000

  /// Where the virtual machine generation ID is, 16 bytes.
  public static let generationIDAddress: UInt32 = 0xFED4_6000
  /// Its page.
  public static let generationIDByteCount: UInt32 = 4 << 10
  /// The general purpose event that tells of a new one.
  public static let generationIDEvent: UInt8 = 5
  /// *GPE0_BLK_LEN*: status and enable, 8 bytes each.
  public static let generalEventByteCount: UInt8 = 16

  /// ISA interrupts of devices at fixed ports; each is its global system interrupt as well.
  public static let keyboardInterrupt: UInt8 = 1
  /// COM1's ISA interrupt.
  public static let serialPort1Interrupt: UInt8 = 4
  /// The real-time clock's.
  public static let realTimeClockInterrupt: UInt8 = 8
  /// VMBus' by name only. A printer's in former times.
  public static let vmbusInterrupt: UInt8 = 7
  /// The PS/2 mouse's.
  public static let mouseInterrupt: UInt8 = 12
  /// Where ISA interrupt 0, the PIT, arrives. A machine must route it there: KVM's default is pin
  /// 0.
  public static let timerGSI: UInt32 = 2
  /// The first of the global system interrupts that PCI's pins share. PCI has them level and
  /// active low; KVM's I/O APIC knows no polarity.
  public static let firstPCIInterrupt: UInt32 = 16
  /// Their number.
  public static let pciInterruptCount: UInt32 = 8
  /// The device number of the bridge behind which the legacy devices are.
  public static let lpcDeviceNumber: UInt32 = 31

  /// The global system interrupt of pin 0 to 3 (*INTA* to *INTD*) of the PCI device numbered
  /// `device` on bus 0; hard-wired.
  public static func pciInterrupt(device: UInt32, pin: UInt32) -> UInt32 {
    // Neither is more than a few bits wide, so that the sum fits; other values wrap.
    firstPCIInterrupt + (device &+ pin) % pciInterruptCount
  }
}
