import Bytes
import Testing

@testable import RemoteFramebuffer

@Suite("Pseudo-encodings: only what a viewer lists")
struct ExtensionTests {
  private static func begin(
    _ encodings: [Int32], width: Int = 100, height: Int = 50
  ) -> (SessionBench, TestDisplay) {
    let display = TestDisplay(width: width, height: height)
    var bench = SessionBench(display)
    bench.begin()
    _ = bench.session.takeOutput()
    bench.session.receive(SessionBench.setEncodings(encodings))
    return (bench, display)
  }

  private static let whole = SessionBench.request(isIncremental: false, width: 100, height: 50)
  private static let next = SessionBench.request(isIncremental: true, width: 100, height: 50)

  private static func resize(_ display: TestDisplay, _ width: Int, _ height: Int) {
    let other = TestDisplay(width: width, height: height)
    display.mode = other.mode
    display.memory = other.memory
    display.written = other.written
  }

  @Test("None is sent that was not listed")
  func unlisted() throws {
    var (bench, display) = Self.begin([0])
    bench.session.setLights(7)
    bench.session.setName("other")
    Self.resize(display, 120, 60)
    _ = bench.exchange([251, 0, 0, 10, 0, 10, 0, 0] + Self.whole)
    let queue = ByteQueue(bench.look())
    _ = try queue.read(1)
    var viewer = ViewerDecoder(width: 100, height: 50, read: queue.read)
    let update = try viewer.readUpdate()
    #expect(update.news.isEmpty && queue.left == 0)
  }

  @Test("Scan codes and lights are announced once; lights again when they change")
  func announcements() throws {
    var (bench, _) = Self.begin([0, -258, -261])
    bench.session.setLights(2)
    let queue = ByteQueue()
    var viewer = ViewerDecoder(width: 100, height: 50, read: queue.read)
    var news: [[ViewerDecoder.News]] = []
    for lights in [2, 2, 6] as [UInt8] {
      bench.session.setLights(lights)
      _ = bench.exchange(news.isEmpty ? Self.whole : Self.next)
      let output = bench.look()
      guard !output.isEmpty else {
        news.append([])
        continue
      }
      queue.add(output)
      _ = try queue.read(1)
      news.append(try viewer.readUpdate().news)
    }
    #expect(news == [[.scanCodes, .lights(2)], [], [.lights(6)]])
    // Listing them once more changes nothing.
    _ = bench.exchange(SessionBench.setEncodings([-258, 0, -261]) + Self.next)
    #expect(bench.look().isEmpty)
  }

  @Test(
    "A pointer once, a dot in the viewer's pixels", arguments: ["own", "565, big-endian", "332"])
  func cursor(name: String) throws {
    let format = try #require(EncodingTests.formats[name])
    var (bench, _) = Self.begin([0, -239])
    let queue = ByteQueue()
    var viewer = ViewerDecoder(format, width: 100, height: 50, read: queue.read)
    for isFirst in [true, false] {
      _ = bench.exchange([0, 0, 0, 0] + format.bytes + Self.whole)
      queue.add(bench.look())
      _ = try queue.read(1)
      #expect(
        try viewer.readUpdate().news
          == (isFirst ? [.cursor(x: 1, y: 1, ["###", "#o#", "###"])] : []))
    }
    #expect(queue.left == 0)
  }

  @Test("A name once, and when it changes")
  func names() throws {
    var (bench, _) = Self.begin([0, -307])
    let queue = ByteQueue()
    var viewer = ViewerDecoder(width: 100, height: 50, read: queue.read)
    for (name, isNews) in [("test", true), ("test", false), ("Prüfung", true)] {
      bench.session.setName(name)
      _ = bench.exchange(Self.next)
      queue.add(bench.look())
      guard isNews else {
        #expect(queue.left == 0)
        continue
      }
      _ = try queue.read(1)
      #expect(try viewer.readUpdate().news == [.name(name)])
    }
    #expect(queue.left == 0)
    // One that does not list it, and one that connects later.
    var (other, _) = Self.begin([0])
    other.session.setName("later")
    #expect(other.exchange(Self.next).isEmpty && !other.session.announcesName)
    var late = SessionBench(TestDisplay(width: 100, height: 50))
    late.session.setName("later")
    #expect(
      late.exchange(Array("RFB 003.008\n".utf8) + [1, 1]).suffix(9) == [0, 0, 0, 5] + "later".utf8)
  }

  @Test(
    "A new size: the old extension, the new one, both; all is sent again",
    arguments: [
      [-223], [-308], [-223, -308],
    ] as [[Int32]])
  func resizes(encodings: [Int32]) throws {
    var (bench, display) = Self.begin(encodings)
    let queue = ByteQueue()
    var viewer = ViewerDecoder(width: 100, height: 50, read: queue.read)
    func draw(_ message: [UInt8]) throws -> ViewerDecoder.Update {
      _ = bench.exchange(message)
      queue.add(bench.look())
      _ = try queue.read(1)
      return try viewer.readUpdate()
    }
    let isExtended = encodings.contains(-308)
    if isExtended {
      // The first one only says that there is the extension.
      #expect(
        try draw(Self.whole).news == [.extendedSize(width: 100, height: 50, reason: 0, status: 0)])
    }
    _ = try draw(isExtended ? Self.next : Self.whole)
    Self.resize(display, 130, 70)
    display.draw(129, 69, 0xABCDEF)
    let update = try draw(Self.next)
    #expect(update.rectangles.isEmpty)
    #expect(
      update.news == [
        isExtended
          ? .extendedSize(width: 130, height: 70, reason: 0, status: 0)
          : .size(width: 130, height: 70)
      ])
    // TigerVNC's next requests are incremental and have the old size.
    _ = try draw(Self.next)
    _ = try draw(SessionBench.request(isIncremental: true, width: 130, height: 70))
    let isSame = viewer.pixels == display.picture
    #expect(isSame && queue.left == 0)
    #expect(bench.look().isEmpty)
  }

  @Test("A viewer that keeps its size sees what fits, and black where nothing is")
  func keptSize() throws {
    var (bench, display) = Self.begin([5])
    let queue = ByteQueue()
    var viewer = ViewerDecoder(width: 100, height: 50, read: queue.read)
    for (width, height) in [(40, 70), (130, 20), (100, 50)] {
      Self.resize(display, width, height)
      for y in 0..<height { for x in 0..<width { display.draw(x, y, 0x010203) } }
      _ = bench.exchange(Self.next)
      queue.add(bench.look())
      _ = try queue.read(1)
      let update = try viewer.readUpdate()
      #expect(update.news.isEmpty && queue.left == 0)
      let expected = (0..<50).flatMap { y in
        (0..<100).map { x in x < width && y < height ? 0x010203 : 0 as UInt32 }
      }
      let isSame = viewer.pixels == expected
      #expect(isSame, "\(width)x\(height)")
    }
  }

  @Test("SetDesktopSize is refused by status, and nothing else happens")
  func refusal() throws {
    var (bench, _) = Self.begin([-308])
    let queue = ByteQueue()
    var viewer = ViewerDecoder(width: 100, height: 50, read: queue.read)
    let wish: [UInt8] =
      [251, 0, 0, 64, 0, 32, 1, 0] + [UInt8](repeating: 0, count: 12) + [0, 0, 0, 0]
    for (message, status) in [(Self.whole, 0), (Self.next, nil), (wish + Self.next, 1)]
      as [([UInt8], Int?)]
    {
      _ = bench.exchange(message)
      queue.add(bench.look())
      _ = try queue.read(1)
      #expect(
        try viewer.readUpdate().news
          == (status.map {
            [.extendedSize(width: 100, height: 50, reason: $0, status: $0)]
          } ?? []))
    }
    #expect(queue.left == 0 && bench.session.end == nil)
  }

  @Test("Fences are answered with their payload, after what came before")
  func fences() {
    var (bench, _) = Self.begin([-312])
    #expect(
      bench.exchange([248, 0, 0, 0, 0x80, 0, 0, 7, 3, 9, 8, 7])
        == [248, 0, 0, 0, 0, 0, 0, 3, 3, 9, 8, 7])
    // An answer that nothing asked for.
    #expect(bench.exchange([248, 0, 0, 0, 0, 0, 0, 3, 0]).isEmpty)
    #expect(bench.session.end == nil)
  }

  @Test("What a viewer asks for while an update goes out comes after it, in its order")
  func answersWaitForTheEndOfAnUpdate() {
    var bench = SessionBench(TestDisplay(width: 640, height: 480))
    bench.begin([0, -312])
    _ = bench.session.takeOutput()
    bench.session.receive([3, 0, 0, 0, 0, 0, 2, 128, 1, 224])
    bench.session.update(from: bench.picture)
    var output = bench.session.takeOutput()
    #expect(output.count < 4 * 640 * 480)
    // A fence, another format, and a key behind them.
    let answer: [UInt8] = [248, 0, 0, 0, 0, 0, 0, 3, 2, 0x41, 0x42]
    bench.session.receive([248, 0, 0, 0, 0x80, 0, 0, 3, 2, 0x41, 0x42])
    bench.session.receive([0, 0, 0, 0, 16, 16, 0, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0, 0, 0, 0])
    bench.session.receive([4, 1, 0, 0, 0, 0, 0, 0x61])
    #expect(!bench.session.hasOutput && bench.session.takeEvents().isEmpty)
    repeat {
      bench.session.update(from: bench.picture)
      output += bench.session.takeOutput()
    } while bench.session.nextPart < bench.session.parts.count
    var place = 4
    for _ in 0..<(output.loadBE(at: 2, as: UInt16.self)) {
      let width = Int(output.loadBE(at: place + 4, as: UInt16.self))
      let height = Int(output.loadBE(at: place + 6, as: UInt16.self))
      place += 12 + 4 * width * height
    }
    #expect(Array(output[place...]) == answer)
    #expect(bench.session.format.bitsPerPixel == 16)
    #expect(
      bench.session.takeEvents() == [.key(keysym: 0x61, scanCode: nil, isDown: true)])
  }

  @Test("Input that has to wait is bounded")
  func waitingInput() {
    var bench = SessionBench(TestDisplay(width: 640, height: 480))
    bench.begin([0, -312])
    bench.session.receive([3, 0, 0, 0, 0, 0, 2, 128, 1, 224])
    bench.session.update(from: bench.picture)
    let fence: [UInt8] = [248, 0, 0, 0, 0x80, 0, 0, 3, 0]
    var count = 0
    while !bench.session.isFull, count < 1 << 20 {
      bench.session.receive(fence)
      count += fence.count
    }
    #expect(count < 128 << 10)
  }

  @Test("Continuous updates: offered at once with a fence, no requests, three on the way, an end")
  func continuousUpdates() {
    var (bench, display) = Self.begin([0, -312, -313])
    let fence: [UInt8] = [248, 0, 0, 0, 0x80, 0, 0, 3, 0]
    let answer: [UInt8] = [248, 0, 0, 0, 0, 0, 0, 3, 0]
    #expect(bench.session.takeOutput() == fence + [150])
    _ = bench.exchange(answer)
    _ = bench.exchange(Self.whole)
    // Before it is turned on updates have no fence.
    #expect(bench.look().count == 16 + 4 * 100 * 50)
    #expect(bench.exchange([150, 1, 0, 0, 0, 0, 0, 100, 0, 50]).isEmpty)
    for count in 1...3 {
      display.draw(count, 0, 1)
      let update = bench.look()
      #expect(update.count == 16 + 4 * 16 * 2 + fence.count)
      #expect(Array(update.suffix(fence.count)) == fence)
    }
    display.draw(9, 0, 1)
    #expect(bench.look().isEmpty)
    _ = bench.exchange(answer)
    #expect(!bench.look().isEmpty)
    #expect(bench.exchange([150, 0, 0, 0, 0, 0, 0, 100, 0, 50]) == [150])
    _ = bench.exchange(answer + answer + answer)
    display.draw(10, 0, 1)
    #expect(bench.look().isEmpty)
    // One that never listed it cannot turn it on.
    var (other, _) = Self.begin([0])
    #expect(other.exchange([150, 1, 0, 0, 0, 0, 0, 100, 0, 50]).isEmpty)
    #expect(!other.session.isWaiting)
  }
}
