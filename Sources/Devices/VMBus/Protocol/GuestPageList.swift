internal import Bytes
internal import DeviceKit

/// Pages that the guest lends to a channel (*GPADL*): one range of whole pages, in the guest's
/// order. Whether they are RAM is found out at each access.
struct GuestPageList: Equatable, Sendable {
  /// Of one list: what a header can announce.
  static let maximumPageCount = 8190

  /// GPNs.
  let pages: [UInt64]
}

/// A list that is being told: a header, then bodies until it is whole.
struct PartialPageList: Sendable {
  /// *vmbus_channel_gpadl_header* up to the page numbers.
  private static let headerByteCount = 28
  private static let bodyByteCount = 16

  private(set) var relid: UInt32
  private var pageCount: Int
  private var pages: [UInt64] = []

  /// One that is to be restored.
  init() {
    relid = 0
    pageCount = 0
  }

  /// Reads a header.
  ///
  /// - Returns: nil unless it is one range of whole pages.
  init?(header message: VMBusMessage) {
    guard message.bytes.count >= Self.headerByteCount, let relid = message.word(at: 8),
      let lengths = message.word(at: 16), let byteCount = message.word(at: 20),
      let byteOffset = message.word(at: 24)
    else { return nil }
    // *range_buflen*: the two words of the range, then 8 bytes for each page; *rangecount*.
    let (rangeByteCount, rangeCount) = (Int(lengths & 0xFFFF), lengths >> 16)
    let pageCount = (rangeByteCount - 8) / 8
    guard rangeCount == 1, rangeByteCount % 8 == 0, pageCount >= 1,
      pageCount <= GuestPageList.maximumPageCount, byteOffset == 0,
      Int(byteCount) == pageCount * 4096
    else { return nil }
    self.relid = relid
    self.pageCount = pageCount
    append(message.bytes, from: Self.headerByteCount)
  }

  /// Takes the pages of a body.
  mutating func add(body message: VMBusMessage) {
    append(message.bytes, from: Self.bodyByteCount)
  }

  private mutating func append(_ bytes: [UInt8], from start: Int) {
    var offset = start
    while pages.count < pageCount, let page = bytes.loadLE(at: offset, byteCount: 8) {
      pages.append(page)
      offset += 8
    }
  }

  /// Saves or restores what has been told.
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.integer(&relid)
    try transfer.integer(&pageCount, in: 0...GuestPageList.maximumPageCount)
    try transfer.integers(&pages, maximumCount: pageCount)
  }

  /// Nil while pages are missing.
  var whole: GuestPageList? { pages.count == pageCount ? GuestPageList(pages: pages) : nil }
}
