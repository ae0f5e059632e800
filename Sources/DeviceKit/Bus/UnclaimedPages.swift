/// Counts the accesses to pages where no device claims the address, for the first pages touched.
///
/// The room for all of them is there from the start: vCPU threads count, see `UnclaimedPorts`.
struct UnclaimedPages: Sendable {
  /// How many are counted apart; the guest may touch far more.
  static let maximumCount = 4096

  /// Ascending by address.
  private var pages: [UnclaimedPage] = []
  /// Accesses to other pages.
  private(set) var unlistedCount: UInt64 = 0

  init() {
    pages.reserveCapacity(Self.maximumCount)
  }

  mutating func count(page address: UInt64, isWrite: Bool) {
    let index = index(of: address)
    // Counts cannot wrap: at a billion exits a second it would take 584 years.
    if index == pages.count || pages[index].address != address {
      guard pages.count < Self.maximumCount else {
        unlistedCount &+= 1
        return
      }
      pages.insert(UnclaimedPage(address: address, readCount: 0, writeCount: 0), at: index)
    }
    if isWrite {
      pages[index].writeCount &+= 1
    } else {
      pages[index].readCount &+= 1
    }
  }

  /// A copy: who shared the array would make the next count copy it.
  var list: [UnclaimedPage] { pages.map { $0 } }

  /// Where a page is, or belongs: before the first one with a higher address.
  private func index(of address: UInt64) -> Int {
    var low = 0
    var high = pages.count
    while low < high {
      let middle = (low + high) / 2
      if pages[middle].address < address { low = middle + 1 } else { high = middle }
    }
    return low
  }
}

/// How often the guest read or wrote a 4 KiB page where no device claims the address.
public struct UnclaimedPage: Hashable, Sendable, CustomStringConvertible {
  /// The page's first address.
  public let address: UInt64
  /// Loads of any width since the bus was made.
  public internal(set) var readCount: UInt64
  /// Stores of any width since the bus was made.
  public internal(set) var writeCount: UInt64

  /// Counts of accesses to one page.
  public init(address: UInt64, readCount: UInt64, writeCount: UInt64) {
    self.address = address
    self.readCount = readCount
    self.writeCount = writeCount
  }

  /// The page and both counts: `memory 0xfed40000: 3 reads, 0 writes`.
  public var description: String {
    "memory 0x\(String(address, radix: 16)): \(readCount) reads, \(writeCount) writes"
  }
}
