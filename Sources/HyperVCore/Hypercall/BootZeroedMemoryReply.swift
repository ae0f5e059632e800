/// The output of *HvExtCallGetBootZeroedMemory* (0x8002).
///
/// | byte offset  | field |
/// |--------------|-------|
/// | 0            | range count, u64 |
/// | 8 + 16 n     | start GPN of range n, u64 |
/// | 16 + 16 n    | 4 KiB pages in range n, u64 |
///
/// There is room for 255 ranges, in 0xFF8 bytes. A thread-safe value.
///
/// Source: TLFS, *HvExtCallGetBootZeroedMemory* (web edition), not the PDF 6.0b §9.4.7, whose output
/// is a single range in 16 bytes.
public struct BootZeroedMemoryReply: Hashable, Sendable {
  /// Bytes of the encoded reply: the count and all 255 ranges, used or not.
  public static let byteCount = 0xFF8

  /// The most ranges that a reply holds.
  public static let maximumRangeCount = 255

  /// The ranges, at most ``maximumRangeCount``. The TLFS asks for the best ones first.
  public let ranges: [BootZeroedRange]

  /// Takes the first 255 ranges, in the order given, and drops the others.
  ///
  /// The ranges are not judged: ``HypercallDispatcher`` does that before it replies.
  public init(_ ranges: some Sequence<BootZeroedRange>) {
    self.ranges = Array(ranges.prefix(Self.maximumRangeCount))
  }

  /// Reads an encoded reply, as a guest would.
  ///
  /// Takes exactly ``byteCount`` bytes. What lies behind the last counted range is not looked at, and
  /// ranges are kept as they are, even if they make no sense.
  public init(decoding bytes: RawSpan) throws(BootZeroedMemoryReplyError) {
    guard bytes.byteCount == Self.byteCount, let count = bytes.loadLE(at: 0) else {
      throw .byteCount(bytes.byteCount)
    }
    guard count <= UInt64(Self.maximumRangeCount) else { throw .rangeCount(count) }
    var ranges: [BootZeroedRange] = []
    ranges.reserveCapacity(Int(count))
    for index in 0..<Int(count) {
      let offset = Self.byteOffset(ofRange: index)
      guard let startPage = bytes.loadLE(at: offset),
        let pageCount = bytes.loadLE(at: offset + 8)
      else { throw .byteCount(bytes.byteCount) }
      ranges.append(BootZeroedRange(startPage: startPage, pageCount: pageCount))
    }
    self.ranges = ranges
  }

  /// The reply as ``byteCount`` little-endian bytes; unused ranges are zero.
  public func encode() -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Self.byteCount)
    bytes.storeLE(UInt64(ranges.count), at: 0)
    for (index, range) in ranges.enumerated() {
      let offset = Self.byteOffset(ofRange: index)
      bytes.storeLE(range.startPage, at: offset)
      bytes.storeLE(range.pageCount, at: offset + 8)
    }
    return bytes
  }

  /// Lends the encoded reply to a closure.
  public func withBytes<Value, Failure: Error>(
    _ body: (RawSpan) throws(Failure) -> Value
  ) throws(Failure) -> Value {
    try encode().withRawSpan(body)
  }

  private static func byteOffset(ofRange index: Int) -> Int { 8 + 16 * index }
}
