import HyperVCore

/// Guest RAM of a few pages with holes and read-only pages, and a record of all that was asked.
final class FakeMemory: HypercallMemory {
  /// Pages start filled with this, so that a byte written in vain shows.
  static let pattern: UInt8 = 0xA5

  private(set) var pages: [UInt64: [UInt8]] = [:]
  private let readOnlyPages: Set<UInt64>
  private(set) var questions: [GuestAddress] = []
  private(set) var writeCount = 0
  private(set) var readCount = 0
  var failsWrites = false

  init(pages: [UInt64] = [1, 2, 3], readOnlyPages: Set<UInt64> = []) {
    self.readOnlyPages = readOnlyPages
    for page in pages {
      self.pages[page] = [UInt8](repeating: Self.pattern, count: 4096)
    }
  }

  func isWritable(_ address: GuestAddress, byteCount: Int) -> Bool {
    questions.append(address)
    guard byteCount > 0,
      let last = GuestAddress.lastByte(of: address, byteCount: byteCount)
    else { return false }
    return (address.pageNumber...last.pageNumber).allSatisfy {
      pages[$0] != nil && !readOnlyPages.contains($0)
    }
  }

  func write(_ bytes: RawSpan, at address: GuestAddress) -> Bool {
    writeCount += 1
    guard !failsWrites, isWritable(address, byteCount: bytes.byteCount) else { return false }
    for (index, byte) in bytes.byteArray.enumerated() {
      let target = GuestAddress(rawValue: address.rawValue + UInt64(index))
      pages[target.pageNumber]?[target.pageOffset] = byte
    }
    return true
  }

  func read(into bytes: inout MutableRawSpan, at address: GuestAddress) -> Bool {
    readCount += 1
    guard let page = pages[address.pageNumber],
      address.pageOffset + bytes.byteCount <= page.count
    else { return false }
    for index in 0..<bytes.byteCount {
      bytes.storeBytes(
        of: page[address.pageOffset + index], toByteOffset: index, as: UInt8.self)
    }
    return true
  }

  /// Puts bytes into a page, as a guest would.
  func store(_ bytes: [UInt8], at address: UInt64) {
    let place = GuestAddress(rawValue: address)
    pages[place.pageNumber]?.replaceSubrange(
      place.pageOffset..<(place.pageOffset + bytes.count), with: bytes)
  }

  /// Whether no byte of any page differs from the pattern.
  var isUntouched: Bool {
    pages.values.allSatisfy { $0.allSatisfy { $0 == Self.pattern } }
  }

  /// Bytes of one page.
  func bytes(page: UInt64, _ range: Range<Int>) -> [UInt8] {
    pages[page].map { Array($0[range]) } ?? []
  }
}

extension GuestAddress {
  static func lastByte(of address: GuestAddress, byteCount: Int) -> GuestAddress? {
    let (last, overflows) = address.rawValue.addingReportingOverflow(UInt64(byteCount - 1))
    return overflows ? nil : GuestAddress(rawValue: last)
  }
}
