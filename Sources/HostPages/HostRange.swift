/// Addresses of this process (HVA): whole 4 KiB pages.
public struct HostRange: Hashable, Sendable {
  /// The HVA of the first byte, a multiple of 4 KiB.
  public let start: UInt
  /// A multiple of 4 KiB, not 0.
  public let byteCount: Int

  /// Nothing is checked here; `WriteProtection.init` refuses what is no whole pages.
  public init(start: UInt, byteCount: Int) {
    self.start = start
    self.byteCount = byteCount
  }
}

extension HostRange {
  /// The unit of /proc/PID/pagemap on x86-64, whatever the page size of the mapping.
  static let pageByteCount: UInt = 4096

  /// Past the last byte. Only of a range that `reasonItIsInvalid` found nothing wrong with.
  var end: UInt { start + UInt(byteCount) }

  var pageCount: Int { byteCount / Int(Self.pageByteCount) }

  /// Addresses of the range as its pages, counted from its start.
  func pages(_ addresses: Range<UInt>) -> Range<Int> {
    let first = Int((addresses.lowerBound - start) / Self.pageByteCount)
    return first..<first + addresses.count / Int(Self.pageByteCount)
  }

  /// Why no kernel would take it; nil if it is whole pages below the end of the address space.
  var reasonItIsInvalid: String? {
    if start % Self.pageByteCount != 0 { return "the start is no multiple of 4096" }
    if byteCount <= 0 { return "it holds no page" }
    if UInt(byteCount) % Self.pageByteCount != 0 { return "the length is no multiple of 4096" }
    if start.addingReportingOverflow(UInt(byteCount)).overflow {
      return "it ends past the last address"
    }
    return nil
  }

  /// Pieces that end at multiples of 1 GiB, in order: no call to the kernel does more at once, and
  /// no border between two cuts a huge page in two.
  var pieces: [HostRange] {
    let pieceByteCount: UInt = 1 << 30
    var pieces: [HostRange] = []
    var cursor = start
    while cursor < end {
      let byteCount = min(end - cursor, pieceByteCount - cursor % pieceByteCount)
      pieces.append(HostRange(start: cursor, byteCount: Int(byteCount)))
      cursor += byteCount
    }
    return pieces
  }
}

extension HostRange: CustomStringConvertible {
  /// Address and length: `0x7f0000000000, 2097152 bytes`.
  public var description: String {
    "0x\(String(start, radix: 16)), \(byteCount) bytes"
  }
}
