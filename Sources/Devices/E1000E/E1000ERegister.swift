/// Offsets of registers in BAR 0. Source: 82574 datasheet, revision 3.4, chapter 10.
enum E1000ERegister {
  static let control: UInt64 = 0x0000
  static let status: UInt64 = 0x0008
  /// *EEC*
  static let nvmControl: UInt64 = 0x0010
  /// *EERD*
  static let nvmRead: UInt64 = 0x0014
  static let extendedControl: UInt64 = 0x0018
  /// *MDIC*
  static let phyAccess: UInt64 = 0x0020
  /// *VET*
  static let vlanType: UInt64 = 0x0038
  static let cause: UInt64 = 0x00C0
  static let causeSet: UInt64 = 0x00C8
  static let maskSet: UInt64 = 0x00D0
  static let maskClear: UInt64 = 0x00D8
  /// *EIAC*: which causes a message clears.
  static let autoClear: UInt64 = 0x00DC
  /// *IAM*: which causes are masked with an interrupt.
  static let autoMask: UInt64 = 0x00E0
  /// *IVAR*: which vectors causes have.
  static let vectors: UInt64 = 0x00E4
  static let receiveControl: UInt64 = 0x0100
  static let transmitControl: UInt64 = 0x0400
  /// *PBA*: how the buffer on the card is divided.
  static let packetBuffer: UInt64 = 0x1000
  /// *EEWR*
  static let nvmWrite: UInt64 = 0x102C
  /// *PSRCTL*: the sizes of buffers that a frame is split into.
  static let splitControl: UInt64 = 0x2170
  static let receiveRing: UInt64 = 0x2800
  static let transmitRing: UInt64 = 0x3800
  /// From one ring's registers to the next one's.
  static let ringByteCount: UInt64 = 0x100
  static let statistics: UInt64 = 0x4000
  static let statisticsEnd: UInt64 = 0x4128
  /// *RXCSUM*
  static let receiveChecksum: UInt64 = 0x5000
  /// *RFCTL*
  static let receiveFilter: UInt64 = 0x5008
  /// *MTA*
  static let multicast: UInt64 = 0x5200
  /// *RAL*, *RAH*
  static let addresses: UInt64 = 0x5400
  /// *VFTA*
  static let vlans: UInt64 = 0x5600
  static let timeLow: UInt64 = 0xB600
  static let timeHigh: UInt64 = 0xB604
  static let timeIncrement: UInt64 = 0xB608

  /// Where the two address registers of a ring, and those behind them, are.
  enum Ring {
    static let addressLow: UInt64 = 0x00
    static let addressHigh: UInt64 = 0x04
    static let length: UInt64 = 0x08
    static let head: UInt64 = 0x10
    static let tail: UInt64 = 0x18
  }
}

/// Bits of *CTRL*.
enum E1000EControl {
  static let masterDisable: UInt32 = 1 << 2
  static let setLinkUp: UInt32 = 1 << 6
  static let reset: UInt32 = 1 << 26
  /// *VME*: VLAN tags are taken out and put in.
  static let vlans: UInt32 = 1 << 30
  static let resetPHY: UInt32 = 1 << 31
  /// Bits that read 0 again when what they ask for is done.
  static let selfClearing: UInt32 = reset | resetPHY
  static let afterReset: UInt32 = 1 << 0 | 1 << 3 | 1 << 9
}

/// Bits of *CTRL_EXT*.
enum E1000EExtendedControl {
  static let resetNVM: UInt32 = 1 << 13
  /// *EIAME*: a message masks as *IAM* says.
  static let masksWithMessage: UInt32 = 1 << 24
  /// *IAME*: reading or writing *ICR* masks as *IAM* says.
  static let masksWithCause: UInt32 = 1 << 27
}

/// Bits of *STATUS*.
enum E1000EStatus {
  static let linkUp: UInt32 = 1 << 1
  static let masterEnabled: UInt32 = 1 << 19
  /// Full duplex, 1000 Mb/s, set up.
  static let always: UInt32 = 1 << 0 | 2 << 6 | 1 << 9
}

/// Bits of *RCTL*.
enum E1000EReceiveControl {
  static let enable: UInt32 = 1 << 1
  static let allUnicast: UInt32 = 1 << 3
  static let allMulticast: UInt32 = 1 << 4
  static let longFrames: UInt32 = 1 << 5
  static let thresholdShift: UInt32 = 8
  /// *DTYP* = 1: a frame is split into the buffers of one descriptor.
  static let splits: UInt32 = 1 << 10
  static let multicastShift: UInt32 = 12
  static let broadcast: UInt32 = 1 << 15
  static let vlanFilter: UInt32 = 1 << 18
  static let canonicalFilter: UInt32 = 1 << 19
  static let canonical: UInt32 = 1 << 20
  static let stripsChecksum: UInt32 = 1 << 26
}

/// Interrupt causes: bits of *ICR*, *ICS*, *IMS* and *IMC*.
struct E1000ECauses: OptionSet, Hashable, Sendable {
  let rawValue: UInt32

  static let transmitted = E1000ECauses(rawValue: 1 << 0)
  static let transmitEmpty = E1000ECauses(rawValue: 1 << 1)
  static let linkChange = E1000ECauses(rawValue: 1 << 2)
  static let receiveThreshold = E1000ECauses(rawValue: 1 << 4)
  static let overrun = E1000ECauses(rawValue: 1 << 6)
  static let received = E1000ECauses(rawValue: 1 << 7)
  static let phyAccess = E1000ECauses(rawValue: 1 << 9)
  static let receiveQueue0 = E1000ECauses(rawValue: 1 << 20)
  static let transmitQueue0 = E1000ECauses(rawValue: 1 << 22)
  static let transmitQueue1 = E1000ECauses(rawValue: 1 << 23)
  static let other = E1000ECauses(rawValue: 1 << 24)
  static let asserted = E1000ECauses(rawValue: 1 << 31)

  /// Those with a vector of their own, in the order of *IVAR*: two receive queues, two transmit
  /// queues, and the rest.
  static let withVector: [5 of E1000ECauses] = [
    .receiveQueue0, E1000ECauses(rawValue: 1 << 21), .transmitQueue0, .transmitQueue1, .other,
  ]
  /// What raises *Other*: link, overrun, MDIO, small packets, acknowledgements, management.
  static let others = E1000ECauses(
    rawValue: 1 << 2 | 1 << 6 | 1 << 9 | 1 << 16 | 1 << 17 | 1 << 18)
  /// What a guest can set.
  static let all = E1000ECauses(rawValue: 0x01F7_82D7)
}
