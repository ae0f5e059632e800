internal import Bytes

/// *Memory mapped configuration* (PCI Firmware Specification 3.0 §4.1.2): where the ECAM is.
enum MCFG {
  static func table(_ space: ACPIAddresses.ConfigurationSpace) -> ACPITable {
    let segment: UInt16 = 0
    let firstBus: UInt8 = 0
    var body = UInt64(0).littleEndianBytes
    body += space.start.littleEndianBytes + segment.littleEndianBytes
    body += [firstBus, space.lastBus, 0, 0, 0, 0]
    return ACPITable(.mcfg, revision: 1, body: body)
  }
}
