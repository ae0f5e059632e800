import Bytes
import DeviceKit
import Foundation
import Glibc
import HostSystem
import Sandbox
import Synchronization
import TestSupport
import Testing

@testable import RemoteFramebuffer

@Suite("The server, with real sockets", .serialized, .timeLimit(.minutes(5)))
struct ServerTests {
  /// A socket of its own, and its address.
  private static func display(_ width: Int = 200, _ height: Int = 100) -> LockedDisplay {
    LockedDisplay(TestDisplay(width: width, height: height))
  }

  @Test("No viewer, no work; one viewer sees all, and what changes; its keys end with it")
  func oneViewer() throws {
    let bench = try ServerBench()
    let (server, path) = (bench.server, bench.path)
    let display = Self.display()
    let input = RecordedInput()
    server.show(ShownMachine(display: display, keyboard: input, pointer: input))
    display.change { $0.draw(3, 4, 0x123456) }
    do {
      let socket = try SocketPeer(path)
      var viewer = try socket.begin(encodings: [16, -261])
      try socket.send(SessionBench.request(isIncremental: false, width: 200, height: 100))
      #expect(try socket.read(1) == [0])
      #expect(try viewer.readUpdate().news == [.lights(2)])
      #expect(viewer.pixels == display.picture)
      #expect(display.logsWrites)
      try waitUntil { server.counts.viewers == 1 }
      try socket.send(SessionBench.request(isIncremental: true, width: 200, height: 100))
      display.change { $0.draw(199, 99, 0xFEDCBA) }
      #expect(try socket.read(1) == [0])
      let update = try viewer.readUpdate()
      #expect(update.rectangles.map(\.x) == [192] && update.rectangles.map(\.y) == [98])
      #expect(viewer.pixels == display.picture)
      try socket.send([4, 1, 0, 0, 0, 0, 0, 0x61] + [5, 1, 0, 9, 0, 8])
      try waitUntil { input.lines.count == 2 }
    }
    try waitUntil { server.counts.viewers == 0 && !display.logsWrites }
    #expect(
      input.lines == [
        "4 down", "9 8 of 200x100: 1", "4 up", "9 8 of 200x100: 0",
      ])
    // Nothing is looked at any more.
    let counts = server.counts
    display.change { $0.draw(0, 0, 5) }
    TestThreads.nap(microseconds: 200_000)
    #expect(server.counts == counts)
  }

  @Test("Viewers that say nothing, or do not read, keep no other waiting and no thread busy")
  func slowViewers() throws {
    let bench = try ServerBench()
    let (server, path) = (bench.server, bench.path)
    let display = Self.display(1000, 1000)
    server.show(ShownMachine(display: display))
    let silent = try SocketPeer(path)
    #expect(try silent.read(12) == Array("RFB 003.008\n".utf8))
    let wakes = server.counts.wakes
    TestThreads.nap(microseconds: 200_000)
    // Once greeted it is not looked at until it speaks or its time is up.
    #expect(server.counts.wakes <= wakes + 2)
    let deaf = try SocketPeer(path)
    _ = try deaf.begin(encodings: [0])
    try deaf.send(SessionBench.request(isIncremental: false, width: 1000, height: 1000))
    let socket = try SocketPeer(path)
    var viewer = try socket.begin(encodings: [0])
    for colour in 1...20 as ClosedRange<UInt32> {
      display.change { $0.draw(999, 0, colour) }
      try socket.send(
        SessionBench.request(isIncremental: false, x: 960, width: 40, height: 16))
      #expect(try socket.read(1) == [0])
      _ = try viewer.readUpdate()
      // A look may be the one before.
      try waitUntil {
        if viewer.pixels[999] == colour { return true }
        try socket.send(
          SessionBench.request(isIncremental: false, x: 960, width: 40, height: 16))
        _ = try socket.read(1)
        _ = try viewer.readUpdate()
        return viewer.pixels[999] == colour
      }
    }
    #expect(server.counts.viewers == 2)
  }

  @Test("A browser on the same socket; a wrong password is the end")
  func webSocketAndPassword() throws {
    let bench = try ServerBench(password: "secret")
    let (server, path) = (bench.server, bench.path)
    server.show(ShownMachine(display: Self.display()))
    let browser = try SocketPeer(path)
    try browser.send(
      Array(
        ("GET / HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
          + "Origin: https://example.com\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
          .utf8))
    #expect(try browser.read(129).suffix(4) == [13, 10, 13, 10])
    #expect(try browser.read(14) == [0x82, 12] + Array("RFB 003.008\n".utf8))
    let other = try SocketPeer(path)
    #expect(try other.read(12).count == 12)
    try other.send(Array("RFB 003.008\n".utf8) + [2])
    #expect(try other.read(2) == [1, 2])
    _ = try other.read(16)
    try other.send([UInt8](repeating: 7, count: 16))
    #expect(try other.read(22) == [0, 0, 0, 1, 0, 0, 0, 14] + Array("wrong password".utf8))
    #expect(throws: SocketPeer.Closed.self) { try other.read(1) }
  }

  @Test("A key and a button that two viewers hold are up when the last one has gone")
  func twoHands() throws {
    let bench = try ServerBench()
    let input = RecordedInput()
    bench.server.show(ShownMachine(display: Self.display(), keyboard: input, pointer: input))
    func place(_ x: Int, _ buttons: Int) -> String { "\(x) 20 of 200x100: \(buttons)" }
    let shift: [UInt8] = [4, 1, 0, 0, 0, 0, 0xFF, 0xE1]
    let (left, right): ([UInt8], [UInt8]) = ([5, 1, 0, 10, 0, 20], [5, 4, 0, 11, 0, 20])
    func begin(_ messages: [UInt8], expecting lines: [String]) throws -> SocketPeer {
      let socket = try SocketPeer(bench.path)
      _ = try socket.begin(encodings: [0])
      try socket.send(messages)
      try waitUntil { input.lines.suffix(lines.count) == lines[...] }
      return socket
    }
    var first: SocketPeer? = try begin(shift + left, expecting: ["e1 down", place(10, 1)])
    let second = try begin(shift + right, expecting: ["e1 down", place(11, 3)])
    let before = input.lines.count
    withExtendedLifetime(first) {}
    first = nil
    try waitUntil { input.lines.count > before }
    // The first one's button is up, the key is not.
    #expect(input.lines[before...] == [place(10, 2)])
    try second.send([4, 0, 0, 0, 0, 0, 0xFF, 0xE1] + [5, 0, 0, 12, 0, 20])
    try waitUntil { input.lines.count >= before + 3 }
    #expect(input.lines[before...] == [place(10, 2), "e1 up", place(12, 0)])
  }

  @Test("The machine goes and another comes: keys are released in the old one, the size follows")
  func machines() throws {
    let bench = try ServerBench()
    let (server, path) = (bench.server, bench.path)
    let (first, second) = (Self.display(), Self.display(300, 50))
    let input = RecordedInput()
    server.show(ShownMachine(display: first, keyboard: input))
    let socket = try SocketPeer(path)
    var viewer = try socket.begin(encodings: [16, -223])
    let request = SessionBench.request(isIncremental: false, width: 200, height: 100)
    try socket.send([4, 1, 0, 0, 0, 0, 0xFF, 0xE3] + request)
    _ = try socket.read(1)
    _ = try viewer.readUpdate()
    try socket.send(SessionBench.request(isIncremental: true, width: 200, height: 100))
    server.show(ShownMachine())
    try waitUntil { input.lines == ["e0 down", "e0 up"] && !first.logsWrites }
    server.show(ShownMachine(display: second))
    _ = try socket.read(1)
    #expect(try viewer.readUpdate().news == [.size(width: 300, height: 50)])
    #expect(second.logsWrites)
  }

  @Test("One viewer too many is sent away")
  func limit() throws {
    let bench = try ServerBench()
    let path = bench.path
    let viewers = try (0..<VNCServer.viewerLimit).map { _ in try SocketPeer(path) }
    for viewer in viewers {
      _ = try viewer.read(12)
      try viewer.send(Array("RFB 003.008\n".utf8) + [1, 1])
      // The choice, its result, and what a viewer gets that was let in.
      #expect(try viewer.read(6 + 24).count == 30)
    }
    let more = try SocketPeer(path)
    #expect(throws: SocketPeer.Closed.self) { try more.read(1) }
  }

  @Test("Connections that say nothing keep no viewer out: the oldest gives way")
  func strangers() throws {
    let bench = try ServerBench(password: "x")
    let path = bench.path
    let strangers = try (0..<VNCServer.viewerLimit).map { _ in try SocketPeer(path) }
    for stranger in strangers { #expect(try stranger.read(12).count == 12) }
    let more = try SocketPeer(path)
    #expect(try more.read(12).count == 12)
    #expect(throws: SocketPeer.Closed.self) { try strangers[0].read(1) }
  }

  @Test("What is no socket is never replaced")
  func otherFiles() throws {
    let path = "/tmp/vmm-run-vnc-\(getpid())-other"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try Data([1, 2, 3]).write(to: URL(fileURLWithPath: path))
    let failure = #expect(throws: VNCListener.Failure.self) {
      _ = try VNCListener(.unix(path: path))
    }
    #expect(failure?.reason == Errno(EADDRINUSE))
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data([1, 2, 3]))
  }

  @Test("When another machine is shown, the one before has been let go")
  func letsGo() throws {
    let bench = try ServerBench()
    let server = bench.server
    let display = Self.display()
    server.show(ShownMachine(display: display))
    let socket = try SocketPeer(bench.path)
    _ = try socket.begin(encodings: [])
    try waitUntil { display.logsWrites }
    let hasReturned = Atomic(false)
    let returned = TestSemaphore()
    var thread: HostThread?
    try display.withLock {
      // The server's thread turns the log off, and cannot while the display is in use.
      thread = try HostThread {
        server.show(ShownMachine())
        hasReturned.store(true, ordering: .sequentiallyConsistent)
        returned.signal()
      }
      returned.wait(microseconds: 100_000)
      let isEarly = hasReturned.load(ordering: .sequentiallyConsistent)
      #expect(!isEarly)
    }
    thread?.join()
    #expect(!display.logsWrites)
  }

  @Test("The first free display is one that nobody has")
  func firstFreeDisplay() throws {
    let first = try VNCListener.onFirstFreeDisplay()
    let second = try VNCListener.onFirstFreeDisplay()
    #expect(first.address != second.address && first.address.isLocal && second.address.isLocal)
    #expect(throws: VNCListener.Failure.self) { _ = try VNCListener(first.address) }
    _ = consume first
    _ = consume second
  }

  @Test(
    "A socket file that nothing listens on is replaced; one in use is not; only the user enters")
  func socketFiles() throws {
    let path = "/tmp/vmm-run-vnc-\(getpid())-left"
    defer { try? FileManager.default.removeItem(atPath: path) }
    func listen() throws(VNCListener.Failure) {
      _ = try VNCListener(.unix(path: path))
    }
    try listen()
    // The file is still there.
    let listener = try VNCListener(.unix(path: path))
    let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions]
    #expect(mode as? Int == 0o600)
    let failure = #expect(throws: VNCListener.Failure.self) { try listen() }
    #expect(
      failure?.description == "cannot listen on unix:\(path): Address already in use (EADDRINUSE)")
    _ = consume listener
  }

  @Test(
    "Addresses",
    arguments: [
      (":0", "127.0.0.1:0", true), ("localhost:1", "127.0.0.1:1", true),
      ("0.0.0.0:99", "0.0.0.0:99", false), ("[::1]:5", "[::1]:5", true),
      ("[::]:5", "[::]:5", false),
      ("127.9.9.9:59635", "127.9.9.9:59635", true), ("unix:/tmp/x", "unix:/tmp/x", true),
    ])
  func addresses(text: String, description: String, isLocal: Bool) {
    let address = VNCAddress(text)
    #expect(address?.description == description && address?.isLocal == isLocal)
  }

  @Test(
    "No addresses",
    arguments: [
      "", ":", "1", ":x", ":-1", ":59636", "::1:5", "[127.0.0.1]:1", "host.example:1", "unix:",
      "1.2.3:4", "[::1]", ":+1", ":99999999999999999999",
    ])
  func noAddresses(text: String) {
    #expect(VNCAddress(text) == nil)
  }
}

/// A server on a socket of its own, for as long as the test runs, with the thread's filter.
private final class ServerBench {
  let path: String
  let server: VNCServer

  init(password: String? = nil) throws {
    path = "/tmp/vmm-run-vnc-\(getpid())-\(UInt64.random(in: 0...UInt64.max))"
    server = try VNCServer(
      try VNCListener(.unix(path: path)),
      VNCServer.Settings(name: "test", password: password.map { Array($0.utf8) }),
      onThreadStart: {
        var policy = SandboxPolicy()
        policy.servesViewers = true
        ThreadFilter.enter(.viewer, policy)
      })
  }

  deinit {
    server.stop()
    try? FileManager.default.removeItem(atPath: path)
  }
}

/// A test's display for two threads.
private final class LockedDisplay: PictureSource, @unchecked Sendable {
  // Sendable because the display is used with the lock held.
  private let display: TestDisplay
  private let lock = NSLock()

  init(_ display: TestDisplay) { self.display = display }

  var mode: DisplayMode? { lock.withLock { display.mode } }
  var preferredSize: (width: Int, height: Int) { lock.withLock { display.preferredSize } }
  var logsWrites: Bool { lock.withLock { display.logsWrites } }
  var picture: [UInt32] { lock.withLock { display.picture } }
  func setLogsWrites(_ logsWrites: Bool) { lock.withLock { display.setLogsWrites(logsWrites) } }
  func takeWrittenPages() -> [UInt64] { lock.withLock { display.takeWrittenPages() } }
  func change(_ body: (TestDisplay) -> Void) { lock.withLock { body(display) } }
  func withLock(_ body: () throws -> Void) rethrows { try lock.withLock(body) }

  func withLine(_ line: Int, of mode: DisplayMode, _ body: (RawSpan) -> Void) {
    lock.withLock { display.withLine(line, of: mode, body) }
  }
}

/// Keeps what the guest's devices would get.
private final class RecordedInput: KeyboardInput, PointerInput {
  private let state = Mutex<[String]>([])

  var lines: [String] { state.withLock { $0 } }
  var lights: KeyboardLights { .numLock }

  private func note(_ line: String) { state.withLock { $0.append(line) } }

  func setKey(_ key: KeyboardKey, isDown: Bool) {
    note("\(String(key.rawValue, radix: 16)) \(isDown ? "down" : "up")")
  }

  func setPointer(_ state: PointerState) {
    note("\(state.x) \(state.y) of \(state.width)x\(state.height): \(state.buttons.rawValue)")
  }

  func turnWheel(vertical: Int, horizontal: Int) { note("wheel \(vertical) \(horizontal)") }
}

extension SocketPeer {
  /// Up to the first request, as a viewer that lists these encodings.
  fileprivate func begin(encodings: [Int32]) throws -> ViewerDecoder {
    _ = try read(12)
    try send(Array("RFB 003.008\n".utf8) + [1, 1])
    _ = try read(6)
    let start = try read(24)
    _ = try read(Int(start.loadBE(at: 20, as: UInt32.self)))
    try send(SessionBench.setEncodings(encodings))
    return ViewerDecoder(
      width: Int(start.loadBE(at: 0, as: UInt16.self)),
      height: Int(start.loadBE(at: 2, as: UInt16.self)), read: read)
  }
}
