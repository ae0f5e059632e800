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
