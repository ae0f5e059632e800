internal import Bytes
internal import GuestMemory

/// Four-level page tables that map guest memory to itself by 2 MiB pages. Source: SDM Vol. 3A §4.5.
///
/// They cover the first 4 GiB and all RAM above. Every page is writable and open to ring 3.
/// Accessed and dirty are set from the start, so that the processor never writes to the tables.
struct IdentityMap: Sendable {
  private static let entryCount: UInt64 = 512
  private static let present: UInt64 = 0x27  // P, R/W, U/S, A
  private static let largePage: UInt64 = 0xE7  // and D, PS

  let start: GPA
  private let gibibyteCount: UInt64

  init(at start: GPA, covering end: GPA) {
    self.start = start
    gibibyteCount = max(4, (end.rawValue + (1 << 30) - 1) >> 30)
  }

  private var pointerTableCount: UInt64 { (gibibyteCount + Self.entryCount - 1) / Self.entryCount }

  var byteCount: Int { Int(1 + pointerTableCount + gibibyteCount) * 4096 }

  var end: GPA { GPA(start.rawValue + UInt64(byteCount)) }

  /// CR3.
  var root: UInt64 { start.rawValue }

  func write(to guest: GuestMemory) throws(GuestMemoryError) {
    let pointerTables = start.rawValue + 4096
    let directories = pointerTables + pointerTableCount * 4096
    try writeTable(at: root, entries: pointerTableCount, to: guest) {
      (pointerTables + $0 * 4096) | Self.present
    }
    for table in 0..<pointerTableCount {
      let first = table * Self.entryCount
      try writeTable(
        at: pointerTables + table * 4096, entries: min(Self.entryCount, gibibyteCount - first),
        to: guest
      ) { (directories + (first + $0) * 4096) | Self.present }
    }
    for directory in 0..<gibibyteCount {
      try writeTable(at: directories + directory * 4096, entries: Self.entryCount, to: guest) {
        (directory << 30 | $0 << 21) | Self.largePage
      }
    }
  }

  private func writeTable(
    at address: UInt64, entries: UInt64, to guest: GuestMemory, entry: (UInt64) -> UInt64
  ) throws(GuestMemoryError) {
    try guest.write((0..<entries).map(entry).littleEndianBytes, at: GPA(address))
  }
}
