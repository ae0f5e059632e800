/// Page tables by 2 MiB pages: the first 2 MiB, and the memory at `WriterGuest.memoryAddress`.
///
/// Every page is writable and open to ring 3; accessed and dirty are set already, so that the
/// processor never writes to the tables. Source: SDM Vol. 3A §4.5.
struct WriterPageTables {
  private static let present: UInt64 = 0x27  // P, R/W, U/S, A
  private static let largePage: UInt64 = 0xE7  // and D, PS
  private static let firstGiB = Int(WriterGuest.memoryAddress >> 30)

  private let address: Int
  /// One directory each; those between the first and the memory stay empty.
  private let gibibyteCount: Int
  private let largePageCount: Int

  init(at address: Int, memoryByteCount: Int) {
    precondition(memoryByteCount % (2 << 20) == 0, "\(memoryByteCount) bytes")
    self.address = address
    largePageCount = memoryByteCount >> 21
    gibibyteCount = Self.firstGiB + (largePageCount + 511) / 512
  }

  private var pointerTableCount: Int { (gibibyteCount + 511) / 512 }
  private var pointersAddress: Int { address + 4096 }
  private var directoriesAddress: Int { pointersAddress + pointerTableCount * 4096 }

  /// The first byte behind the tables.
  var endAddress: Int { directoriesAddress + gibibyteCount * 4096 }

  func write(to pages: HostPages) {
    pages.store(
      (0..<pointerTableCount).map { UInt64(pointersAddress + $0 * 4096) | Self.present },
      at: address)
    pages.store(
      (0..<gibibyteCount).map { UInt64(directoriesAddress + $0 * 4096) | Self.present },
      at: pointersAddress)
    pages.store([Self.largePage], at: directoriesAddress)
    pages.store(
      (0..<largePageCount).map { WriterGuest.memoryAddress + UInt64($0) << 21 | Self.largePage },
      at: directoriesAddress + Self.firstGiB * 4096)
  }
}
