@testable internal import ZeroTracker

/// Encoded tracker states: any bytes, bytes behind a good head, well-formed states of any contents,
/// and real ones with a few bytes changed.
final class TrackerStateTarget: FuzzTarget {
  static let name = "tracker-state"
  static let maximumInputByteCount = 1024

  private static let regions = [
    PageRange(start: GPN(rawValue: 16), pageCount: 200),
    PageRange(start: GPN(rawValue: 1 << 20), pageCount: 65),
  ]

  init() {}

  func run(_ input: FuzzInput) {
    let kind = input.byte
    guard let granularity = try? TrackingGranularity(byteCount: 4096 << UInt64(kind >> 4 & 7))
    else { fatalError("a granularity that does not exist") }
    let bytes =
      switch kind & 3 {
      case 0: input.rest
      case 1: Self.sealed(Self.head(granularity, input) + input.rest)
      case 2: Self.wellFormed(granularity, input)
      default: Self.changed(Self.real(granularity, input), input)
      }
    check(bytes, granularity)
  }

  // MARK: States

  private static func sealed(_ bytes: [UInt8]) -> [UInt8] {
    var writer = StateWriter()
    writer.append(contentsOf: bytes)
    writer.appendChecksum()
    return writer.bytes
  }

  private static func head(_ granularity: TrackingGranularity, _ input: FuzzInput) -> [UInt8] {
    let odd = input.byte
    var writer = StateWriter()
    writer.append(contentsOf: TrackerStateFormat.magic)
    writer.append(TrackerStateFormat.version)
    writer.append(UInt32(odd & 1))
    writer.append(granularity.byteCount)
    writer.append(odd == 0xFF ? input.uint32 : UInt32(regions.count))
    writer.append(UInt32(0))
    return writer.bytes
  }

  /// All runs add up, unless a byte says otherwise.
  private static func wellFormed(
    _ granularity: TrackingGranularity, _ input: FuzzInput
  ) -> [UInt8] {
    var writer = StateWriter()
    writer.append(contentsOf: head(granularity, input))
    for region in regions {
      writer.append(region.start.rawValue)
      writer.append(region.pageCount)
      let chunkCount = Int((region.pageCount - 1) / (granularity.byteCount / 4096)) + 1
      for bitCount in [chunkCount, chunkCount, Int(region.pageCount)] {
        appendBitmap(bitCount, to: &writer, input)
      }
    }
    if input.byte == 0xFF { writer.append(contentsOf: input.rest) }
    return sealed(writer.bytes)
  }

  private static func appendBitmap(
    _ bitCount: Int, to writer: inout StateWriter, _ input: FuzzInput
  ) {
    var left = (bitCount + 63) / 64
    while left > 0 {
      let choice = input.byte
      // Kind 3, and runs that are too long, are rare.
      let kind = choice == 0xFF ? 3 : UInt64(choice % 3)
      let count = choice == 0xFE ? input.anyMagnitude : UInt64(1 + Int(choice >> 2) % left)
      writer.appendVariable(count << 2 | kind)
      guard count <= UInt64(left) else { return }
      left -= Int(count)
      guard kind == 2 else { continue }
      for index in 0..<count {
        let isLast = left == 0 && index == count - 1 && bitCount % 64 != 0
        let used: UInt64 = isLast && choice & 0x80 == 0 ? ~(.max << UInt64(bitCount % 64)) : .max
        writer.append(input.uint64 & used)
      }
    }
  }

  /// Of a tracker with a history.
  private static func real(_ granularity: TrackingGranularity, _ input: FuzzInput) -> [UInt8] {
    guard let tracker = try? ZeroTracker(regions: regions, granularity: granularity) else {
      fatalError("a tracker that cannot be made")
    }
    tracker.attach(source: SilentSource())
    for _ in 0..<(input.byte & 7) {
      let choice = input.byte
      let start = regions[Int(choice & 1)].start.advanced(by: UInt64(input.byte))
      let range = PageRange(start: start, pageCount: UInt64(choice >> 2))
      if choice & 2 == 0 { tracker.markTouched(range) } else { tracker.claim(range) }
    }
    return tracker.encodedState()
  }

  private static func changed(_ bytes: [UInt8], _ input: FuzzInput) -> [UInt8] {
    let isSealed = input.bool
    var bytes = isSealed ? Array(bytes.dropLast(StateChecksum.byteCount)) : bytes
    while !input.isEmpty {
      let place = Int(input.uint16) % bytes.count
      bytes[place] = input.byte
    }
    return isSealed ? sealed(bytes) : bytes
  }

  // MARK: What must be so

  private func check(_ bytes: [UInt8], _ granularity: TrackingGranularity) {
    guard let tracker = try? ZeroTracker(regions: Self.regions, granularity: granularity) else {
      fatalError("a tracker that cannot be made")
    }
    do throws(TrackerStateError) {
      try tracker.restore(bytes, memory: .exact)
    } catch {
      require(!error.description.contains("\n"), error.description)
      tracker.attach(source: SilentSource())
      require(tracker.zeroedRanges(replyPage: nil, limit: .max).isEmpty, "pages after \(error)")
      return
    }
    guard
      let state = try? TrackerStateFormat(bytes, regions: Self.regions, granularity: granularity)
    else { fatalError("restored, but not decoded") }
    checkIdentity(state, granularity)
    tracker.attach(source: SilentSource())
    let answer = tracker.zeroedRanges(replyPage: nil, limit: .max)
    let expected = state.isComplete ? Self.zeroPageCount(state, granularity) : 0
    require(answer.reduce(0) { $0 + $1.pageCount } == expected, "\(answer), not \(expected) pages")
    for range in answer {
      for page in range.start.rawValue..<range.end.rawValue {
        require(Self.isZero(page, state, granularity), "page \(page) is reported")
      }
    }
  }

  /// What was decoded encodes to bytes that decode to the same, and to themselves.
  private func checkIdentity(_ state: TrackerStateFormat, _ granularity: TrackingGranularity) {
    let bytes = state.encoded()
    guard
      let again = try? TrackerStateFormat(bytes, regions: Self.regions, granularity: granularity)
    else { fatalError("encoded to what does not decode") }
    require(again.isComplete == state.isComplete, "the flag changed")
    for (left, right) in zip(again.regions, state.regions) {
      require(
        left.range == right.range && left.touched == right.touched
          && left.claimed == right.claimed && left.written == right.written, "\(left.range)")
    }
    require(again.encoded() == bytes, "two encodings of one state")
  }

  private static func zeroPageCount(
    _ state: TrackerStateFormat, _ granularity: TrackingGranularity
  ) -> UInt64 {
    var count: UInt64 = 0
    for region in regions {
      for page in region.start.rawValue..<region.end.rawValue
      where isZero(page, state, granularity) { count += 1 }
    }
    return count
  }

  private static func isZero(
    _ page: UInt64, _ state: TrackerStateFormat, _ granularity: TrackingGranularity
  ) -> Bool {
    guard let region = state.regions.first(where: { $0.range.contains(GPN(rawValue: page)) })
    else { return false }
    let offset = Int(page - region.range.start.rawValue)
    let chunk = offset / Int(granularity.byteCount / 4096)
    func bit(_ words: [UInt64], _ index: Int) -> Bool { words[index / 64] >> (index % 64) & 1 == 1 }
    return !bit(region.touched, chunk) && !bit(region.claimed, chunk)
      && !bit(region.written, offset)
  }
}

/// A guest that never writes.
private final class SilentSource: WrittenPageSource {
  func readWrittenPages(of region: PageRange, into words: inout MutableSpan<UInt64>) throws {}
  func stop() throws {}
  func forget(_ range: PageRange) -> Bool { true }
}
