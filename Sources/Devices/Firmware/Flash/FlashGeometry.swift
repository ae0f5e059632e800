/// What a flash chip says of itself: identifier codes and the CFI query table. One chip, 8 bits
/// wide.
struct FlashGeometry: Hashable, Sendable {
  /// What an erase clears: OVMF's block, `PcdOvmfFirmwareBlockSize`.
  static let blockByteCount = 4096

  private static let manufacturer: UInt8 = 0x89
  private static let device: UInt8 = 0x18
  private static let queryStart = 0x10

  /// In bytes, whole blocks.
  let byteCount: Int

  /// Bytes of the identifier codes: manufacturer, device, then no block is locked.
  func identifier(at offset: Int) -> UInt8 {
    switch offset {
    case 0: Self.manufacturer
    case 1: Self.device
    default: 0
    }
  }

  /// Bytes of the CFI query table. Source: JEDEC JESD68.01.
  func query(at offset: Int) -> UInt8 {
    let table = queryTable
    let index = offset - Self.queryStart
    return table.indices.contains(index) ? table[index] : 0
  }

  private var queryTable: [UInt8] {
    let blockCount = byteCount / Self.blockByteCount
    let lastBlock = UInt8(truncatingIfNeeded: blockCount - 1)
    let lastBlockHigh = UInt8(truncatingIfNeeded: (blockCount - 1) >> 8)
    return Array("QRY".utf8)
      // Command set 1 (Intel), its extended table at 0x31, no other set.
      + [0x01, 0x00, 0x31, 0x00, 0x00, 0x00, 0x00, 0x00]
      // 4.5 to 5.5 V, no programming voltage; times as powers of two: program 128 µs, no buffer,
      // erase 1 s.
      + [0x45, 0x55, 0x00, 0x00, 0x07, 0x00, 0x0A, 0x00, 0x04, 0x00, 0x04, 0x00]
      // The size rounded up to a power of two, 8 bits wide, no write buffer, one kind of block.
      + [sizeExponent, 0x00, 0x00, 0x00, 0x00, 0x01]
      + [lastBlock, lastBlockHigh]
      + [UInt8(truncatingIfNeeded: Self.blockByteCount >> 8), UInt8(Self.blockByteCount >> 16)]
      // The extended table: version 1.0, no optional features.
      + Array("PRI10".utf8) + [0x00, 0x00, 0x00, 0x00]
  }

  private var sizeExponent: UInt8 {
    UInt8(Int.bitWidth - (byteCount - 1).leadingZeroBitCount)
  }
}
