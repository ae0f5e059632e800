import TestSupport
import Testing
import ZeroTracker

/// Bytes nobody vouches for: always an error, never a trap, and nothing is reported after it.
@Suite struct StateDamageTests {
  private static let regions = [pages(16, 130), pages(1 << 20, 65)]

  private static func makeState() throws -> [UInt8] {
    let (tracker, log) = try makeTracker(regions, 65536)
    tracker.markTouched(pages(16, 1))
    tracker.claim(pages(140, 1))
    log.guestWrites(pages(30, 64))
    return tracker.encodedState()
  }

  /// What a fresh tracker of these regions says to the bytes; nil if it takes them.
  private func refusal(
    _ bytes: [UInt8], _ comment: Comment? = nil, regions: [PageRange] = Self.regions,
    byteCount: UInt64 = 65536
  ) throws -> TrackerStateError? {
    let tracker = try ZeroTracker(regions: regions, granularity: granularity(byteCount))
    do throws(TrackerStateError) {
      try tracker.restore(bytes, memory: .exact)
      return nil
    } catch {
      try expectSilence(tracker, comment)
      return error
    }
  }

  @Test func theUndamagedStateIsTaken() throws {
    #expect(try refusal(Self.makeState()) == nil)
  }

  @Test func everyTruncationIsRefused() throws {
    let bytes = try Self.makeState()
    for count in 0..<bytes.count {
      let error = try refusal(Array(bytes.prefix(count)), "\(count) bytes")
      #expect(error == (count < 12 ? .notAState : .checksum), "\(count) bytes")
      // With the right checksum the structure itself must be found wanting.
      let sealed = try refusal(withChecksum(Array(bytes.prefix(count))), "\(count) bytes, sealed")
      #expect((sealed == nil) == (count == bytes.count - 8), "\(count) bytes, sealed")
    }
  }

  @Test func everyFlippedBitIsNoticed() throws {
    let bytes = try Self.makeState()
    for bit in 0..<(bytes.count * 8) {
      var flipped = bytes
      flipped[bit / 8] ^= 1 << UInt8(bit % 8)
      let error = try refusal(flipped, "bit \(bit)")
      switch bit / 8 {
      case 0..<8: #expect(error == .notAState, "bit \(bit)")
      case 8..<12:
        #expect(error == .version(1 ^ 1 << UInt32(bit - 64), supported: 1), "bit \(bit)")
      default: #expect(error == .checksum, "bit \(bit)")
      }
    }
  }

  @Test(arguments: 1...400 as ClosedRange<UInt64>)
  func randomBytesAreHarmless(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let noise = (0..<Int.random(in: 0...200, using: &random)).map { _ in
      UInt8(truncatingIfNeeded: random.next())
    }
    #expect(try refusal(noise, "seed \(seed)") == .notAState)
    // Behind a valid head, with the right checksum, as far as the first region's bitmaps.
    let state = try Self.makeState().dropLast(8)
    let kept = Int.random(in: 12...60, using: &random)
    _ = try refusal(withChecksum(state.prefix(kept) + noise), "seed \(seed)")
    // One byte of the sealed state replaced: taken or refused, never a trap.
    var changed = Array(state)
    changed[Int.random(in: 12..<changed.count, using: &random)] = UInt8(
      truncatingIfNeeded: random.next())
    _ = try refusal(withChecksum(changed), "seed \(seed)")
  }

  /// Bytes in place of the touched bitmap of 130 pages (9 chunks) and all that follows.
  @Test(
    arguments: [
      [0x00], [0x01], [0x02], [0x03], [0x07], [0x08], [0x0A],
      [0x80], [0x84, 0x80], Array(repeating: 0x80, count: 20),
      Array(repeating: 0xFF, count: 9) + [0x02], Array(repeating: 0xFF, count: 9) + [0x01],
      [0xFC, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
      [0x06], [0x06, 1, 2, 3], [0x05], [0x06, 0, 2, 0, 0, 0, 0, 0, 0],
    ] as [[UInt8]])
  func badRunsAreRefused(bitmap: [UInt8]) throws {
    let head = try Self.makeState().prefix(48)
    let error = try refusal(withChecksum(head + bitmap))
    guard case .malformed(let offset)? = error else {
      Issue.record("\(bitmap): \(String(describing: error))")
      return
    }
    #expect((48...(48 + bitmap.count)).contains(offset))
  }

  @Test func badFieldsAreRefused() throws {
    let state = Array(try Self.makeState().dropLast(8))
    func with(_ byte: UInt8, at offset: Int) -> [UInt8] {
      var bytes = state
      bytes[offset] = byte
      return withChecksum(bytes)
    }
    #expect(try refusal(with(3, at: 12)) == .malformed(offset: 12))
    #expect(try refusal(with(0x80, at: 15)) == .malformed(offset: 12))
    #expect(try refusal(with(1, at: 23)) == .granularity(1 << 56 | 65536, tracker: 65536))
    #expect(try refusal(with(255, at: 27)) == .regionCount(0xFF00_0002, tracker: 2))
    #expect(try refusal(with(1, at: 28)) == .malformed(offset: 28))
    #expect(try refusal(with(17, at: 32)) == .region(pages(17, 130), tracker: pages(16, 130)))
    #expect(
      try refusal(with(255, at: 47))
        == .region(pages(16, 0xFF << 56 | 130), tracker: pages(16, 130)))
    #expect(try refusal(withChecksum(state + [0])) == .malformed(offset: state.count))
  }

  @Test func anotherTrackersStateIsRefused() throws {
    let bytes = try Self.makeState()
    #expect(try refusal(bytes, byteCount: 4096) == .granularity(65536, tracker: 4096))
    #expect(try refusal(bytes, regions: [pages(16, 130)]) == .regionCount(2, tracker: 1))
    #expect(
      try refusal(bytes, regions: [pages(16, 130), pages(1 << 20, 64)])
        == .region(pages(1 << 20, 65), tracker: pages(1 << 20, 64)))
  }

  @Test func messagesSayWhatAndWhatToDo() {
    #expect(
      TrackerStateError.version(7, supported: 1).description
        == "tracker state of version 7, this library reads version 1: "
        + "restore with the library that encoded it, or boot without the state")
    let errors: [TrackerStateError] = [
      .tooLate, .notAState, .version(2, supported: 1), .checksum, .granularity(4096, tracker: 8192),
      .regionCount(2, tracker: 1), .region(pages(0, 1), tracker: pages(0, 2)),
      .malformed(offset: 9),
    ]
    for error in errors {
      #expect(error.description.hasPrefix("tracker state"))
      #expect(!error.description.contains("\n") && !error.description.hasSuffix("."))
    }
  }
}
