import Bytes
import DeviceKit
import Testing

/// Frames of 14 to 100 bytes, and what a stream of them is.
struct NetworkFramesTests {
  private static let maximumByteCount = 100

  private static func frames(header: Int = 0) -> NetworkFrames {
    NetworkFrames(headerByteCount: header, maximumFrameByteCount: maximumByteCount)
  }

  /// A frame behind its length.
  private static func stream(_ frame: [UInt8]) -> [UInt8] {
    UInt32(frame.count).bigEndianBytes + frame
  }

  private static func frame(_ byteCount: Int, _ value: UInt8) -> [UInt8] {
    Array(repeating: value, count: byteCount)
  }

  private static func put(_ bytes: [UInt8], into frames: inout NetworkFrames) {
    frames.begin()
    for half in [bytes.prefix(bytes.count / 2), bytes.suffix(bytes.count - bytes.count / 2)] {
      frames.extend(byCount: half.count) { span in
        for (index, byte) in half.enumerated() {
          span.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
        }
      }
    }
    frames.finish()
  }

  private static func bytes(of span: RawSpan) -> [UInt8] {
    (0..<span.byteCount).map { span.loadLE(at: $0) }
  }

  /// Fills the buffer from its beginning.
  private static func fill(_ frames: inout NetworkFrames, with bytes: ArraySlice<UInt8>) -> Int {
    // SAFETY: the buffer is of 256 KiB at least, and copies check in debug builds.
    unsafe frames.fill { buffer in
      let part = bytes.prefix(buffer.count)
      unsafe buffer.copyBytes(from: part)
      return part.count
    }
  }

  private static func takeAll(_ frames: inout NetworkFrames) -> [[UInt8]] {
    var all: [[UInt8]] = []
    while let frame = frames.withFirst(Self.bytes(of:)) {
      all.append(frame)
      frames.removeFirst()
    }
    return all
  }

  /// Reads `stream` by `pieces` of these lengths, and the rest, and takes the frames after each.
  private static func read(
    _ stream: [UInt8], pieces: [Int], into frames: inout NetworkFrames
  ) -> [[UInt8]] {
    var all: [[UInt8]] = []
    var rest = stream[...]
    var pieces = pieces[...]
    while !rest.isEmpty {
      let piece = pieces.popFirst() ?? .max
      let count = fill(&frames, with: rest.prefix(piece))
      rest = rest.dropFirst(count)
      all += takeAll(&frames)
    }
    return all
  }

  @Test func aFrameStandsBehindItsLength() {
    var frames = Self.frames()
    #expect(frames.isEmpty && frames.firstByteCount == nil && frames.byteCount(within: 1000) == 0)
    Self.put(Self.frame(14, 1), into: &frames)
    Self.put(Self.frame(100, 2), into: &frames)
    #expect(frames.byteCount == 122)
    #expect(frames.byteCount(within: 121) == 18)
    #expect(frames.byteCount(within: 122) == 122)
    // The first goes even where it is longer than the limit.
    #expect(frames.byteCount(within: 1) == 18)
    let bytes = frames.withStream(byteCount: 122, Self.bytes(of:))
    #expect(bytes == Self.stream(Self.frame(14, 1)) + Self.stream(Self.frame(100, 2)))
    frames.removeStream(byteCount: 18)
    #expect(Self.takeAll(&frames) == [Self.frame(100, 2)])
    #expect(frames.isEmpty)
  }

  @Test func aHeaderIsZeroAndCountsAsTheFrame() {
    var frames = Self.frames(header: 12)
    Self.put(Self.frame(20, 9), into: &frames)
    frames.begin()
    #expect(frames.openByteCount == 12)
    #expect(frames.leftByteCount == 100)
    frames.withOpen { $0.storeBytes(of: 7, toByteOffset: 3, as: UInt8.self) }
    frames.extend(byCount: 14) { span in
      for index in 0..<14 { span.storeBytes(of: 5, toByteOffset: index, as: UInt8.self) }
    }
    frames.finish()
    #expect(
      Self.takeAll(&frames) == [
        Self.frame(12, 0) + Self.frame(20, 9),
        [0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0] + Self.frame(14, 5),
      ])
  }

  @Test func anAbandonedFrameLeavesTheOthers() {
    var frames = Self.frames()
    Self.put(Self.frame(20, 1), into: &frames)
    frames.begin()
    frames.extend(byCount: 50) { _ in }
    frames.abandon()
    Self.put(Self.frame(21, 2), into: &frames)
    #expect(Self.takeAll(&frames) == [Self.frame(20, 1), Self.frame(21, 2)])
  }

  @Test func theBufferTakesFramesUntilItIsFullAndNoByteMore() {
    var frames = Self.frames()
    var count = 0
    while frames.hasRoom {
      Self.put(Self.frame(100, UInt8(truncatingIfNeeded: count)), into: &frames)
      count += 1
    }
    // 256 KiB, and the frame that had begun before.
    #expect(count == NetworkFrames.byteCount / 104 + 1)
    #expect(Self.takeAll(&frames).count == count)
    #expect(frames.hasRoom)
  }

  @Test(arguments: [[], [1], [2], [3], [4], [5], [17], [18], [19], [20], [1, 1, 1, 1, 1, 20]])
  func aStreamIsReadInAnyPieces(pieces: [Int]) {
    var frames = Self.frames()
    let sent = [Self.frame(14, 1), Self.frame(100, 2), Self.frame(15, 3)]
    #expect(
      Self.read(sent.flatMap(Self.stream), pieces: pieces, into: &frames) == sent)
  }

  /// Lengths of frames that are none, the bytes that follow, and how the stream comes.
  @Test(
    arguments: [0, 1, 13, 101, 200, 1000, 300_000],
    [[], [3], [4], [5], [10], [18 + 4 + 101]])
  func aFrameOfWrongLengthIsLeftOut(byteCount: Int, pieces: [Int]) {
    var frames = Self.frames()
    let wrong = Self.frame(byteCount, 0xEE)
    let prefix = UInt32(byteCount).bigEndianBytes
    let good = [Self.frame(14, 1), Self.frame(60, 2)]
    let stream = Self.stream(good[0]) + prefix + wrong + Self.stream(good[1])
    #expect(Self.read(stream, pieces: pieces, into: &frames) == good)
  }

  @Test func aLengthOf4GiBKeepsNothing() {
    var frames = Self.frames()
    var readCount = 0
    #expect(Self.fill(&frames, with: [0xFF, 0xFF, 0xFF, 0xFF, 1]) == 5)
    for _ in 0..<100 {
      readCount += unsafe frames.fill { $0.count }
      #expect(frames.isEmpty)
    }
    #expect(readCount >= 100 * NetworkFrames.byteCount)
  }

  @Test func whatCannotBeReadChangesNothing() {
    var frames = Self.frames()
    let stream = Self.stream(Self.frame(30, 4))
    #expect(Self.fill(&frames, with: stream[..<10]) == 10)
    for answer in [-1, 0] {
      let count = unsafe frames.fill { _ in answer }
      #expect(count == answer)
    }
    #expect(Self.fill(&frames, with: stream[10...]) == stream.count - 10)
    #expect(Self.takeAll(&frames) == [Self.frame(30, 4)])
  }
}
