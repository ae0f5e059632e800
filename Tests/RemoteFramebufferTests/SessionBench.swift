import Bytes

@testable import DeviceKit
@testable import RemoteFramebuffer

/// A display in this process, which a test draws on. Not for several threads at once.
final class TestDisplay: PictureSource, @unchecked Sendable {
  // Sendable because a test draws only while no server looks.
  var mode: DisplayMode?
  var preferredSize = (width: 64, height: 32)
  var memory: [UInt8]
  /// Pages that the next look finds.
  var written: [UInt64]
  private(set) var logsWrites = false
  /// How often the log was turned on.
  private(set) var logStarts = 0
  private(set) var lineReads = 0

  init(width: Int, height: Int, lineByteCount: Int? = nil, offset: Int = 0) {
    let line = lineByteCount ?? 4 * width
    mode = DisplayMode(width: width, height: height, lineByteCount: line, offset: offset)
    let byteCount = (offset + line * height + 4095) / 4096 * 4096
    memory = [UInt8](repeating: 0, count: byteCount)
    written = [UInt64](repeating: 0, count: (byteCount / 4096 + 63) / 64)
  }

  func withLine(_ line: Int, of mode: DisplayMode, _ body: (RawSpan) -> Void) {
    lineReads += 1
    let start = mode.offset + line * mode.lineByteCount
    let line = Array(memory[start..<(start + 4 * mode.width)])
    // SAFETY: a byte has no padding.
    unsafe body(line.span.bytes)
  }

  func setLogsWrites(_ logsWrites: Bool) {
    self.logsWrites = logsWrites
    if logsWrites {
      logStarts += 1
      for index in written.indices { written[index] = .max }
    }
  }

  func takeWrittenPages() -> [UInt64] {
    let taken = logsWrites ? written : written.map { _ in .max }
    for index in written.indices { written[index] = 0 }
    return taken
  }

  /// Draws a pixel, 0xXXRRGGBB, as a guest does: its page is in the log.
  func draw(_ x: Int, _ y: Int, _ pixel: UInt32) {
    guard let mode else { return }
    let place = mode.offset + y * mode.lineByteCount + 4 * x
    for byte in 0..<4 { memory[place + byte] = UInt8(truncatingIfNeeded: pixel >> (8 * byte)) }
    written[place / 4096 / 64] |= 1 << UInt64(place / 4096 % 64)
  }

  func pixel(_ x: Int, _ y: Int) -> UInt32 {
    guard let mode else { return 0 }
    let place = mode.offset + y * mode.lineByteCount + 4 * x
    return (0..<3).reduce(0) { $0 | UInt32(memory[place + $1]) << (8 * UInt32($1)) }
  }

  /// All of the picture, 0x00RRGGBB.
  var picture: [UInt32] {
    guard let mode else { return [] }
    return (0..<mode.height).flatMap { y in (0..<mode.width).map { pixel($0, y) } }
  }
}

/// A session with a viewer of a test, without a socket, and the picture in it.
struct SessionBench {
  static let challenge = Array(0..<16 as Range<UInt8>)

  var session: RFBSession
  var picture: SharedPicture
  let display: TestDisplay

  init(_ display: TestDisplay, password: String? = nil) {
    self.display = display
    picture = SharedPicture(width: 1, height: 1)
    _ = picture.refresh(from: display, looksAtAll: true)
    session = RFBSession(
      RFBSession.Settings(
        name: "test", password: password.map { Array($0.utf8) }, challenge: Self.challenge),
      width: picture.width, height: picture.height)
    display.setLogsWrites(true)
  }

  /// Sends bytes and takes the answer.
  mutating func exchange(_ bytes: [UInt8]) -> [UInt8] {
    session.receive(bytes)
    return session.takeOutput()
  }

  /// Up to *ServerInit*, without a password; then lists encodings.
  mutating func begin(_ encodings: [Int32] = []) {
    _ = exchange(Array("RFB 003.008\n".utf8) + [1, 1])
    session.receive(Self.setEncodings(encodings))
  }

  /// Looks at the display as the server does, and gives what goes out.
  mutating func look() -> [UInt8] {
    let change = picture.refresh(from: display)
    session.take(change, of: picture, isReady: session.isWaiting)
    var output: [UInt8] = []
    while true {
      session.update(from: picture)
      guard session.hasOutput else { return output }
      output += session.takeOutput()
    }
  }

  static func setEncodings(_ encodings: [Int32]) -> [UInt8] {
    [2, 0] + UInt16(encodings.count).bigEndianBytes
      + encodings.flatMap { UInt32(bitPattern: $0).bigEndianBytes }
  }

  static func request(
    isIncremental: Bool, x: Int = 0, y: Int = 0, width: Int, height: Int
  ) -> [UInt8] {
    [3, isIncremental ? 1 : 0] + [x, y, width, height].flatMap { UInt16($0).bigEndianBytes }
  }
}

/// Bytes that are there, read from the front.
final class ByteQueue {
  private(set) var bytes: [UInt8]
  private var place = 0

  init(_ bytes: [UInt8] = []) { self.bytes = bytes }

  func add(_ more: [UInt8]) { bytes += more }

  var left: Int { bytes.count - place }

  func read(_ count: Int) throws -> [UInt8] {
    guard count <= left else { throw ViewerDecoder.Failure.cut }
    defer { place += count }
    return Array(bytes[place..<(place + count)])
  }
}
