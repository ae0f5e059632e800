/// Guest physical memory from address 0, cut into equal cells, each with its share of every class.
///
/// A pure value of bounded size: a cell grows with the memory, never their number.
struct MemoryPicture: Equatable, Sendable {
  /// 64 rows of 64: fine enough to see single blocks, coarse enough to draw anywhere.
  static let maximumCellCount = 4096

  /// How many bytes of a cell belong to each class. Bytes that were not added are `notRAM`.
  struct Cell: Equatable, Sendable {
    /// By raw value of the class.
    private var byteCounts: [7 of UInt64] = [0, 0, 0, 0, 0, 0, 0]

    static func == (left: Cell, right: Cell) -> Bool {
      MemoryClass.allCases.allSatisfy { left[$0] == right[$0] }
    }

    subscript(memoryClass: MemoryClass) -> UInt64 {
      get { byteCounts[memoryClass.rawValue] }
      set { byteCounts[memoryClass.rawValue] = newValue }
    }
  }

  /// A power of two, at least one page.
  let bytesPerCell: UInt64
  private(set) var cells: [Cell]

  /// A map in which nothing is memory yet.
  ///
  /// - Parameter addressSpaceByteCount: The end of the highest RAM; rounded up to whole cells.
  init(addressSpaceByteCount: UInt64) {
    var bytesPerCell: UInt64 = 4096
    while (addressSpaceByteCount.saturatingRoundUp(bytesPerCell)) / bytesPerCell
      > UInt64(Self.maximumCellCount)
    {
      bytesPerCell <<= 1
    }
    self.bytesPerCell = bytesPerCell
    let cellCount = max(1, addressSpaceByteCount.saturatingRoundUp(bytesPerCell) / bytesPerCell)
    var empty = Cell()
    empty[.notRAM] = bytesPerCell
    cells = Array(repeating: empty, count: Int(cellCount))
  }

  /// Says what the bytes in `range` are. Ranges must not overlap one another; what reaches past the
  /// end of the map is dropped.
  mutating func add(_ memoryClass: MemoryClass, _ range: Range<UInt64>) {
    guard memoryClass != .notRAM else { return }
    let end = min(range.upperBound, UInt64(cells.count) * bytesPerCell)
    var start = range.lowerBound
    while start < end {
      let index = Int(start / bytesPerCell)
      let cellEnd = (UInt64(index) + 1) * bytesPerCell
      let byteCount = min(end, cellEnd) - start
      let unclaimed = cells[index][.notRAM]
      precondition(
        byteCount <= unclaimed,
        "\(byteCount) bytes at \(String(start, radix: 16)) overlap a range that was added before")
      cells[index][.notRAM] = unclaimed - byteCount
      cells[index][memoryClass] += byteCount
      start += byteCount
    }
  }

  func byteCount(_ memoryClass: MemoryClass) -> UInt64 {
    cells.reduce(0) { $0 + $1[memoryClass] }
  }

  /// All that is RAM.
  var memoryByteCount: UInt64 {
    UInt64(cells.count) * bytesPerCell - byteCount(.notRAM)
  }
}

extension UInt64 {
  fileprivate func saturatingRoundUp(_ unit: UInt64) -> UInt64 {
    let (sum, overflow) = addingReportingOverflow(unit - 1)
    return (overflow ? .max : sum) & ~(unit - 1)
  }
}
