/// *Memory mapped configuration* (PCI Firmware Specification 3.0 §4.1.2): where the ECAM is.
enum MCFG {
  static func table(_ platform: ACPIPlatform) -> ACPITable {
    let segment: UInt16 = 0
    let buses: ClosedRange<UInt8> = 0...0xFF
    var body = UInt64(0).littleEndianBytes
    body += UInt64(platform.ecamBase).littleEndianBytes + segment.littleEndianBytes
    body += [buses.lowerBound, buses.upperBound, 0, 0, 0, 0]
    return ACPITable(.mcfg, revision: 1, body: body)
  }
}
