// Message-signalled interrupts without a table (MSI, PCI 3.0 §6.8.1): 64-bit addresses, a mask for
// each vector.
extension PCIConfigurationSpace {
  private enum MSI {
    static let identifier: UInt8 = 0x05
    /// *Message Control*: bit 0 enables, 3:1 say how many vectors there are, 6:4 how many the guest
    /// gave, as powers of two; bit 7: 64-bit addresses; bit 8: masks.
    static let enable: UInt16 = 1
    static let given: UInt16 = 7 << 4
    static let fixed: UInt16 = 1 << 7 | 1 << 8

    // Places behind the identifier.
    static let control = 0x02
    static let address = 0x04
    static let data = 0x0C
    static let mask = 0x10
    static let pending = 0x14
    static let byteCount = 0x18
  }

  /// Adds the capability.
  ///
  /// - Parameter vectorCount: 1, 2, 4, 8, 16 or 32.
  public mutating func addMSI(vectorCount: Int) {
    precondition(
      (1...32).contains(vectorCount) && vectorCount.nonzeroBitCount == 1,
      "\(vectorCount) MSI vectors")
    let offset = addCapability(
      MSI.identifier, body: [UInt8](repeating: 0, count: MSI.byteCount - 2))
    let exponent = UInt16(vectorCount.trailingZeroBitCount)
    preset(MSI.fixed | exponent << 1, at: offset + MSI.control)
    makeWritable(MSI.enable | MSI.given, at: offset + MSI.control)
    makeWritable(UInt64.max - 3, at: offset + MSI.address)
    makeWritable(UInt16.max, at: offset + MSI.data)
    makeWritable(UInt32.max >> UInt32(32 - vectorCount), at: offset + MSI.mask)
    msi = MSILayout(offset: offset, count: vectorCount)
  }

  /// Whether the guest turned MSI on.
  var usesMSI: Bool {
    guard let msi else { return false }
    return value(at: msi.offset + MSI.control, as: UInt16.self) & MSI.enable != 0
  }

  /// The message of a vector; nil, and noted as pending, while it is held back. Nil for vectors
  /// there are none of, and while MSI is off.
  mutating func takeMSI(_ vector: Int) -> MSIMessage? {
    guard let msi, usesMSI, (0..<msi.count).contains(vector) else { return nil }
    let bit = UInt32(1) << UInt32(vector)
    let pending: UInt32 = value(at: msi.offset + MSI.pending)
    let mask: UInt32 = value(at: msi.offset + MSI.mask)
    guard mask & bit == 0, isBusMaster else {
      preset(pending | bit, at: msi.offset + MSI.pending)
      return nil
    }
    preset(pending & ~bit, at: msi.offset + MSI.pending)
    let control: UInt16 = value(at: msi.offset + MSI.control)
    // A guest that gave fewer vectors has them shared. The reserved numbers 6 and 7 say 32.
    let givenCount = UInt32(1) << min(UInt32(control & MSI.given) >> 4, 5)
    let low = UInt32(vector) & (givenCount - 1)
    let data = UInt32(value(at: msi.offset + MSI.data, as: UInt16.self))
    return MSIMessage(
      address: value(at: msi.offset + MSI.address), data: data & ~(givenCount - 1) | low)
  }

  /// What was held back and no longer is. Nothing is pending any more when MSI is off.
  mutating func takePendingMSIs() -> [MSIMessage] {
    guard let msi else { return [] }
    guard usesMSI else {
      preset(UInt32(0), at: msi.offset + MSI.pending)
      return []
    }
    let pending: UInt32 = value(at: msi.offset + MSI.pending)
    return (0..<msi.count).compactMap { vector in
      pending >> UInt32(vector) & 1 == 0 ? nil : takeMSI(vector)
    }
  }
}

/// Where the capability is.
struct MSILayout: Sendable {
  let offset: Int
  let count: Int
}
