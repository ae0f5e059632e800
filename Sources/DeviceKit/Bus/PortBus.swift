/// Hands port accesses to the device that claims the port.
///
/// An access belongs to the device that claims its first port, however wide it is: hardware would
/// split a wide one at the border, but devices with 4-byte registers at a single claimed port rely
/// on this.
public final class PortBus: Sendable {
  private let claims: ClaimTable
  private let decoder: (any AddressDecoder)?
  private let unclaimed = UnclaimedPorts()

  /// A bus with these devices; one device may have several ranges.
  ///
  /// - Parameter decoder: asked for accesses that no device claims.
  /// - Throws: `BusError.overlap` for the lowest two claims that share a port.
  public init(
    _ devices: [(PortRange, any BusDevice)], decoder: (any AddressDecoder)? = nil
  ) throws(BusError) {
    self.decoder = decoder
    let claims = devices.map {
      ClaimTable.Claim(start: UInt64($0.0.start), last: UInt64($0.0.last), device: $0.1)
    }
    self.claims = try ClaimTable(claims) { lower, upper in
      .overlap(
        lower: PortRange(lower), lowerDevice: lower.deviceName,
        upper: PortRange(upper), upperDevice: upper.deviceName)
    }
  }

  /// Answers an `in` instruction of `width` 1, 2 or 4 bytes; another width traps.
  ///
  /// - Returns: the device's answer cut to `width`; all ones of that width, counted, if no device
  ///   answers, as an undriven bus reads.
  public func read(port: UInt16, width: Int) -> UInt32 {
    let mask = Self.mask(width)
    let value = claims.withDevice(at: UInt64(port)) { device, offset in
      device.read(offset: offset, width: width)
    }
    guard let value = value ?? decoder?.read(at: UInt64(port), width: width) else {
      unclaimed.count(port: port, isWrite: false)
      return mask
    }
    return UInt32(truncatingIfNeeded: value) & mask
  }

  /// Takes an `out` instruction of `width` 1, 2 or 4 bytes; another width traps.
  ///
  /// The device gets `value` cut to `width`. If none answers the write is dropped and counted.
  public func write(port: UInt16, width: Int, value: UInt32) {
    let mask = Self.mask(width)
    let done: Void? = claims.withDevice(at: UInt64(port)) { device, offset in
      device.write(offset: offset, width: width, value: UInt64(value & mask))
    }
    guard done == nil,
      decoder?.write(at: UInt64(port), width: width, value: UInt64(value & mask)) != true
    else { return }
    unclaimed.count(port: port, isWrite: true)
  }

  /// What no device claimed: each port and direction once, ascending by port, reads before writes.
  public var unclaimedAccesses: [UnclaimedAccess] {
    unclaimed.accesses
  }

  /// The bits of an access. The processor, not the guest, limits the widths to these three.
  private static func mask(_ width: Int) -> UInt32 {
    switch width {
    case 1: 0xFF
    case 2: 0xFFFF
    case 4: 0xFFFF_FFFF
    default: preconditionFailure("port access of \(width) bytes; 1, 2 and 4 exist")
    }
  }
}

extension PortRange {
  fileprivate init(_ claim: ClaimTable.Claim) {
    // Was a range before, so both fit.
    self.init(start: UInt16(claim.start), count: UInt16(claim.last - claim.start + 1))
  }
}
