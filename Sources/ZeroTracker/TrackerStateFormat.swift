/// An encoded tracker state as values: docs/tracker-state.md has the layout.
struct TrackerStateFormat {
  static let magic: [UInt8] = Array("HVZEROTR".utf8)
  static let version: UInt32 = 1
  /// Flag bit 0: tracking was on and the source answered.
  static let completeFlag: UInt32 = 1
  /// Up to the first region.
  static let headerByteCount = 32

  /// The bitmaps of one region. Empty arrays stand for zeros.
  struct Region {
    let range: PageRange
    /// Bit per chunk.
    var touched: [UInt64]
    /// Bit per chunk.
    var claimed: [UInt64]
    /// Bit per page.
    var written: [UInt64]
  }

  var isComplete: Bool
  var granularity: TrackingGranularity
  var regions: [Region]

  func encoded() -> [UInt8] {
    var writer = StateWriter()
    writer.append(contentsOf: Self.magic)
    writer.append(Self.version)
    writer.append(isComplete ? Self.completeFlag : 0)
    writer.append(granularity.byteCount)
    // A tracker cannot have 2^32 regions: each has a page of at most 2^32.
    writer.append(UInt32(truncatingIfNeeded: regions.count))
    writer.append(0 as UInt32)
    for region in regions {
      let pageCount = Int(region.range.pageCount)
      let chunkCount = granularity.chunkCount(pageCount)
      writer.append(region.range.start.rawValue)
      writer.append(region.range.pageCount)
      PackedBits.append(region.touched, bitCount: chunkCount, to: &writer)
      PackedBits.append(region.claimed, bitCount: chunkCount, to: &writer)
      PackedBits.append(region.written, bitCount: pageCount, to: &writer)
    }
    writer.appendChecksum()
    return writer.bytes
  }

  /// Decodes a state of a tracker with exactly these regions and chunks.
  ///
  /// Bounded by them, whatever the bytes say: nothing is allocated before the checksum, the
  /// granularity and the region were found right, and then only the bitmaps of that region.
  init(
    _ bytes: [UInt8], regions expected: [PageRange], granularity: TrackingGranularity
  ) throws(TrackerStateError) {
    guard bytes.starts(with: Self.magic), bytes.count >= Self.magic.count + 4 else {
      throw .notAState
    }
    // The version comes before the checksum: another version may have another checksum.
    var versionReader = StateReader(bytes, Self.magic.count..<bytes.count)
    let version = try versionReader.uint32()
    guard version == Self.version else { throw .version(version, supported: Self.version) }
    guard bytes.count >= Self.headerByteCount + StateChecksum.byteCount else { throw .checksum }
    let end = bytes.count - StateChecksum.byteCount
    var checksumReader = StateReader(bytes, end..<bytes.count)
    guard try checksumReader.uint64() == StateChecksum.value(of: bytes.span.extracting(0..<end))
    else { throw .checksum }

    var reader = StateReader(bytes, versionReader.offset..<end)
    let flags = try reader.uint32()
    guard flags & ~Self.completeFlag == 0 else { throw reader.malformed(back: 4) }
    let byteCount = try reader.uint64()
    guard byteCount == granularity.byteCount else {
      throw .granularity(byteCount, tracker: granularity.byteCount)
    }
    let regionCount = try reader.uint32()
    guard regionCount == expected.count else {
      throw .regionCount(regionCount, tracker: expected.count)
    }
    guard try reader.uint32() == 0 else { throw reader.malformed(back: 4) }
    isComplete = flags & Self.completeFlag != 0
    self.granularity = granularity
    regions = []
    for range in expected {
      regions.append(try Self.region(range, granularity, from: &reader))
    }
    guard reader.remainingByteCount == 0 else { throw reader.malformed() }
  }

  /// A state to be encoded.
  init(isComplete: Bool, granularity: TrackingGranularity, regions: [Region]) {
    self.isComplete = isComplete
    self.granularity = granularity
    self.regions = regions
  }

  private static func region(
    _ range: PageRange, _ granularity: TrackingGranularity, from reader: inout StateReader
  ) throws(TrackerStateError) -> Region {
    let start = GPN(rawValue: try reader.uint64())
    let found = PageRange(start: start, pageCount: try reader.uint64())
    guard found == range else { throw .region(found, tracker: range) }
    let pageCount = Int(range.pageCount)
    let chunkCount = granularity.chunkCount(pageCount)
    let touched = try PackedBits.read(bitCount: chunkCount, from: &reader)
    let claimed = try PackedBits.read(bitCount: chunkCount, from: &reader)
    let written = try PackedBits.read(bitCount: pageCount, from: &reader)
    return Region(range: range, touched: touched, claimed: claimed, written: written)
  }
}

extension TrackingGranularity {
  /// How many chunks hold `pageCount` pages, at least one; the last may be short.
  fileprivate func chunkCount(_ pageCount: Int) -> Int {
    ((pageCount - 1) >> pageShift) + 1
  }
}

/// FNV-1a, 64 bits (RFC 9923): guards an encoded state against damage, not against an attacker.
///
/// Each step is a bijection of the running value, so a change within one byte is always noticed.
enum StateChecksum {
  static let byteCount = 8

  static func value(of bytes: Span<UInt8>) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for index in bytes.indices { hash = (hash ^ UInt64(bytes[index])) &* 0x100_0000_01B3 }
    return hash
  }
}

/// Writes what `StateReader` reads.
struct StateWriter {
  private(set) var bytes: [UInt8] = []

  mutating func append(_ value: UInt32) {
    for shift in stride(from: UInt32(0), to: 32, by: 8) {
      bytes.append(UInt8(truncatingIfNeeded: value >> shift))
    }
  }

  mutating func append(_ value: UInt64) {
    for shift in stride(from: UInt64(0), to: 64, by: 8) {
      bytes.append(UInt8(truncatingIfNeeded: value >> shift))
    }
  }

  mutating func append(contentsOf other: [UInt8]) {
    bytes += other
  }

  mutating func appendVariable(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  /// Appends the checksum of everything so far.
  mutating func appendChecksum() {
    append(StateChecksum.value(of: bytes.span))
  }
}

/// Reads little-endian numbers from untrusted bytes.
struct StateReader {
  private let bytes: [UInt8]
  /// The next byte to read.
  private(set) var offset: Int
  /// The end of the bytes.
  private let end: Int

  /// The range must lie within the bytes.
  init(_ bytes: [UInt8], _ range: Range<Int>) {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= bytes.count,
      "bytes \(range) of \(bytes.count)")
    self.bytes = bytes
    offset = range.lowerBound
    end = range.upperBound
  }

  var remainingByteCount: Int { end - offset }

  /// Refuses what stands `count` bytes before the next byte.
  func malformed(back count: Int = 0) -> TrackerStateError {
    .malformed(offset: offset - count)
  }

  mutating func byte() throws(TrackerStateError) -> UInt8 {
    guard offset < end else { throw malformed() }
    defer { offset += 1 }
    return bytes[offset]
  }

  mutating func uint32() throws(TrackerStateError) -> UInt32 {
    UInt32(try number(byteCount: 4))
  }

  mutating func uint64() throws(TrackerStateError) -> UInt64 {
    try number(byteCount: 8)
  }

  private mutating func number(byteCount: Int) throws(TrackerStateError) -> UInt64 {
    guard remainingByteCount >= byteCount else { throw malformed() }
    var value: UInt64 = 0
    for index in 0..<byteCount {
      value |= UInt64(bytes[offset + index]) << UInt64(index * 8)
    }
    offset += byteCount
    return value
  }

  /// Groups of seven bits, lowest first; every byte but the last has bit 7 set (LEB128).
  mutating func variable() throws(TrackerStateError) -> UInt64 {
    let start = offset
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), through: 63, by: 7) {
      let byte = try byte()
      // The tenth byte holds bit 63 alone.
      guard shift < 63 || byte <= 1 else { throw .malformed(offset: start) }
      value |= UInt64(byte & 0x7F) << shift
      if byte & 0x80 == 0 { return value }
    }
    throw .malformed(offset: start)
  }
}
