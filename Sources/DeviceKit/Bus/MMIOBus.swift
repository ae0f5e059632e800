internal import HostSystem

/// Hands loads and stores that no memory slot backs to the device that claims the address.
///
/// An access belongs to the device that claims its first byte. KVM cuts accesses at page borders,
/// so a guest can make pieces of 3, 5, 6 or 7 bytes; devices see them as accesses of 4, 2 and 1
/// bytes, in ascending order. The claims never change; what moves, such as memory behind a PCI base
/// address register, answers where none of them is.
public final class MMIOBus: Sendable {
  private let claims: ClaimTable
  private let decoder: (any AddressDecoder)?
  private let unclaimed = Guarded(UnclaimedPages())

  /// A bus with these devices; one device may have several ranges.
  ///
  /// - Parameter decoder: asked for accesses that no device claims.
  /// - Throws: `BusError.memoryOverlap` for the lowest two claims that share an address.
  public init(
    _ devices: [(MMIORange, any BusDevice)], decoder: (any AddressDecoder)? = nil
  ) throws(BusError) {
    self.decoder = decoder
    let claims = devices.map {
      ClaimTable.Claim(start: $0.0.start, last: $0.0.last, device: $0.1)
    }
    self.claims = try ClaimTable(claims) { lower, upper in
      .memoryOverlap(
        lower: MMIORange(lower), lowerDevice: lower.deviceName,
        upper: MMIORange(upper), upperDevice: upper.deviceName)
    }
  }

  /// Answers a load of `width` 1 to 8 bytes; another width traps.
  ///
  /// - Returns: the device's answer, little-endian, cut to `width`; ones, counted, where no device
  ///   answers.
  public func read(address: UInt64, width: Int) -> UInt64 {
    Self.check(width)
    if Self.isOnePiece(width) {
      return readPiece(address: address, width: width) & Self.mask(width)
    }
    return readPieces(address: address, width: width)
  }

  private func readPieces(address: UInt64, width: Int) -> UInt64 {
    var value: UInt64 = 0
    var offset = 0
    while offset < width {
      let size = Self.pieceWidth(of: width - offset)
      // Wraps only past the last address, which no processor can reach.
      let part = readPiece(address: address &+ UInt64(offset), width: size)
      value |= (part & Self.mask(size)) << UInt64(8 * offset)
      offset += size
    }
    return value
  }

  /// Takes a store of `width` 1 to 8 bytes; another width traps.
  ///
  /// The device gets `value` cut to `width`. Where none answers the store is dropped and counted.
  public func write(address: UInt64, width: Int, value: UInt64) {
    Self.check(width)
    if Self.isOnePiece(width) {
      return writePiece(address: address, width: width, value: value & Self.mask(width))
    }
    writePieces(address: address, width: width, value: value)
  }

  private func writePieces(address: UInt64, width: Int, value: UInt64) {
    var offset = 0
    while offset < width {
      let size = Self.pieceWidth(of: width - offset)
      let part = (value >> UInt64(8 * offset)) & Self.mask(size)
      writePiece(address: address &+ UInt64(offset), width: size, value: part)
      offset += size
    }
  }

  /// What no device answered, ascending by page: at most 4096 pages, the first ones touched.
  public var unclaimedPages: [UnclaimedPage] {
    unclaimed.withLock { $0.list }
  }

  /// Accesses without a device to pages beyond those listed.
  public var unlistedAccessCount: UInt64 {
    unclaimed.withLock { $0.unlistedCount }
  }

  private func readPiece(address: UInt64, width: Int) -> UInt64 {
    let value = claims.withDevice(at: address) { device, offset in
      device.read(offset: offset, width: width)
    }
    guard let value = value ?? decoder?.read(at: address, width: width) else {
      count(address, isWrite: false)
      return .max
    }
    return value
  }

  private func writePiece(address: UInt64, width: Int, value: UInt64) {
    let done: Void? = claims.withDevice(at: address) { device, offset in
      device.write(offset: offset, width: width, value: value)
    }
    guard done == nil, decoder?.write(at: address, width: width, value: value) != true else {
      return
    }
    count(address, isWrite: true)
  }

  private func count(_ address: UInt64, isWrite: Bool) {
    unclaimed.withLock { $0.count(page: address & ~0xFFF, isWrite: isWrite) }
  }

  /// KVM, not the guest, limits the width to 8.
  private static func check(_ width: Int) {
    precondition((1...8).contains(width), "memory access of \(width) bytes; 1 to 8 exist")
  }

  /// Whether devices see a width as it is: nearly every access.
  private static func isOnePiece(_ width: Int) -> Bool {
    width & (width &- 1) == 0
  }

  /// The widest access a device may see of `byteCount` bytes: the largest power of two in it.
  private static func pieceWidth(of byteCount: Int) -> Int {
    1 << (Int.bitWidth - 1 - byteCount.leadingZeroBitCount)
  }

  private static func mask(_ width: Int) -> UInt64 {
    // A width is 1 to 8.
    .max &>> (64 &- 8 &* UInt64(truncatingIfNeeded: width))
  }
}

extension MMIORange {
  fileprivate init(_ claim: ClaimTable.Claim) {
    // Was a range before, so it fits.
    self.init(start: claim.start, byteCount: claim.last - claim.start + 1)
  }
}
