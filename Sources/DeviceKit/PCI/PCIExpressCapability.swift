internal import Bytes

// The PCI Express capability (PCI Express base specification 4.0 §7.5.3) of an endpoint that is a
// part of the root complex: on bus 0 there are no links.
extension PCIConfigurationSpace {
  private enum Express {
    static let identifier: UInt8 = 0x10
    static let byteCount = 0x3C
    /// Version 2, *Root Complex Integrated Endpoint*.
    static let capabilities: UInt16 = 0x0092
    /// Payloads of 128 bytes; *Role-Based Error Reporting*; *Function Level Reset*.
    static let deviceCapabilities: UInt32 = 1 << 15 | 1 << 28
    /// *Completion Timeout Disable* is supported.
    static let deviceCapabilities2: UInt32 = 1 << 4
    /// At reset: relaxed ordering, no snoop, reads of 512 bytes.
    static let control: UInt16 = 1 << 4 | 1 << 11 | 2 << 12
    /// Error reporting, relaxed ordering, no snoop, the size of reads: stored. Payloads have one
    /// size.
    static let writableControl: UInt16 = 0x000F | 1 << 4 | 1 << 11 | 7 << 12
    static let writableControl2: UInt16 = 1 << 4
    /// *Initiate Function Level Reset*; reads as 0.
    static let initiateReset: UInt16 = 1 << 15
    /// Errors, cleared by writing 1. None is ever set.
    static let clearableStatus: UInt16 = 0x000F
    /// *Transactions Pending*.
    static let transactionsPending: UInt16 = 1 << 5

    // Places behind the identifier.
    static let controlOffset = 0x08
    static let statusOffset = 0x0A
    static let control2Offset = 0x28
  }

  /// Adds the capability, with function level reset.
  public mutating func addExpressEndpoint() {
    var body = [UInt8](repeating: 0, count: Express.byteCount - 2)
    body.storeLE(Express.capabilities, at: 0x02 - 2)
    body.storeLE(Express.deviceCapabilities, at: 0x04 - 2)
    body.storeLE(Express.control, at: Express.controlOffset - 2)
    body.storeLE(Express.deviceCapabilities2, at: 0x24 - 2)
    let offset = addCapability(Express.identifier, body: body)
    makeWritable(
      Express.writableControl | Express.initiateReset, at: offset + Express.controlOffset)
    makeClearable(Express.clearableStatus, at: offset + Express.statusOffset)
    makeWritable(Express.writableControl2, at: offset + Express.control2Offset)
    express = offset
  }

  /// Whether the guest has asked for a function level reset; forgets it.
  mutating func takeFunctionReset() -> Bool {
    guard let express else { return false }
    let control: UInt16 = value(at: express + Express.controlOffset)
    guard control & Express.initiateReset != 0 else { return false }
    preset(control & ~Express.initiateReset, at: express + Express.controlOffset)
    return true
  }

  /// Whether an access reaches *Device Status*.
  func reachesDeviceStatus(offset: Int, width: Int) -> Bool {
    guard let express else { return false }
    let status = express + Express.statusOffset
    // The first test keeps the sum of the second in range.
    return offset < status + 2 && offset &+ width > status
  }

  /// Sets *Transactions Pending*: reads or writes of memory are on their way.
  mutating func setTransactionsPending(_ isPending: Bool) {
    guard let express else { return }
    let status: UInt16 = value(at: express + Express.statusOffset)
    let others = status & ~Express.transactionsPending
    preset(
      isPending ? others | Express.transactionsPending : others,
      at: express + Express.statusOffset)
  }
}
