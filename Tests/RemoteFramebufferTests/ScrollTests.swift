import DeviceKit
import TestSupport
import Testing

@testable import RemoteFramebuffer

@Suite("Scrolling: pictures that move go out as copies")
struct ScrollTests {
  private static let (width, height) = (200, 160)

  /// Lines of text, with empty ones between.
  private static func write(_ lines: Range<Int>, on display: TestDisplay, seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    for y in lines {
      for x in 0..<width {
        let isInk = y % 16 < 12 && Int.random(in: 0..<5, using: &random) == 0
        display.draw(x, y, isInk ? 0xC0C0C0 : 0)
      }
    }
  }

  /// Moves lines as a guest does: reads and writes.
  private static func scroll(_ display: TestDisplay, _ range: Range<Int>, by distance: Int) {
    let before = display.picture
    for y in range where range.contains(y + distance) {
      for x in 0..<width { display.draw(x, y, before[(y + distance) * width + x]) }
    }
  }

  @Test(
    "Up, down, a part, the whole: a copy, and what is new; with and without the encoding",
    arguments: [[1, 16], [16]] as [[Int32]])
  func copies(encodings: [Int32]) throws {
    let display = TestDisplay(width: Self.width, height: Self.height)
    Self.write(0..<Self.height, on: display, seed: 1)
    var bench = SessionBench(display)
    bench.begin(encodings)
    _ = bench.session.takeOutput()
    let queue = ByteQueue()
    var viewer = ViewerDecoder(width: Self.width, height: Self.height, read: queue.read)
    var copied: [Bool] = []
    for (step, (range, distance, new)) in [
      (0..<0, 0, 0..<0), (0..<160, 16, 144..<160), (0..<160, -32, 0..<32),
      (16..<128, 16, 112..<128),
      (0..<160, 1, 159..<160), (0..<160, 5, 100..<120), (0..<0, 0, 0..<160),
      (0..<160, 16, 144..<160), (0..<40, 16, 24..<40),
    ].enumerated() as EnumeratedSequence<[(Range<Int>, Int, Range<Int>)]> {
      Self.scroll(display, range, by: distance)
      Self.write(new, on: display, seed: UInt64(step) + 2)
      _ = bench.exchange(
        SessionBench.request(
          isIncremental: step > 0, width: Self.width, height: Self.height))
      queue.add(bench.look())
      #expect(try queue.read(1) == [0])
      let update = try viewer.readUpdate()
      let isSame = viewer.pixels == display.picture
      #expect(isSame && queue.left == 0, "step \(step)")
      copied.append(update.rectangles.contains { $0.encoding == 1 })
      if copied[step] { #expect(update.rectangles[0].encoding == 1) }
    }
    // The seventh is another picture, the last moved too few lines.
    let expected = [false, true, true, true, true, true, false, true, false]
    #expect(copied == (encodings.contains(1) ? expected : expected.map { _ in false }))
  }

  @Test("A viewer that has not seen what moved gets pixels")
  func unseen() throws {
    let display = TestDisplay(width: Self.width, height: Self.height)
    Self.write(0..<Self.height, on: display, seed: 1)
    var bench = SessionBench(display)
    bench.begin([1, 16])
    _ = bench.session.takeOutput()
    let queue = ByteQueue()
    var viewer = ViewerDecoder(width: Self.width, height: Self.height, read: queue.read)
    _ = bench.exchange(
      SessionBench.request(isIncremental: false, width: Self.width, height: Self.height))
    queue.add(bench.look())
    _ = try queue.read(1)
    _ = try viewer.readUpdate()
    // Both changes come before the next request; the second moves what the first changed.
    display.draw(100, 100, 0xFF0000)
    #expect(bench.look().isEmpty)
    Self.scroll(display, 0..<Self.height, by: 16)
    _ = bench.exchange(
      SessionBench.request(isIncremental: true, width: Self.width, height: Self.height))
    queue.add(bench.look())
    _ = try queue.read(1)
    let update = try viewer.readUpdate()
    #expect(!update.rectangles.contains { $0.encoding == 1 })
    let isSame = viewer.pixels == display.picture
    #expect(isSame && queue.left == 0)
  }

  @Test("The finder: distances both ways, empty lines, few lines, none")
  func finder() {
    let lines = (0..<200).map { UInt64($0 % 4 == 3 ? 0 : $0 + 1) }
    let up = Array(lines[4...]) + [901, 902, 903, 904]
    let found = ScrollFinder.find(old: lines, new: up)
    #expect(found?.lines == 0..<196 && found?.distance == 4)
    let down = ScrollFinder.find(old: up, new: lines)
    #expect(down?.lines == 4..<200 && down?.distance == -4)
    #expect(ScrollFinder.find(old: lines, new: lines) == nil)
    #expect(ScrollFinder.find(old: lines, new: lines.map { _ in 0 }) == nil)
    #expect(ScrollFinder.find(old: lines.map { _ in 0 }, new: lines) == nil)
    #expect(ScrollFinder.find(old: [], new: []) == nil)
    #expect(ScrollFinder.find(old: Array(lines[..<40]), new: Array(lines[4..<44])) == nil)
    #expect(ScrollFinder.find(old: lines, new: lines.reversed()) == nil)
  }
}
