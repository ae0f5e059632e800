internal import DeviceKit
internal import Foundation
internal import HostSystem
internal import RemoteFramebuffer

/// Serves a picture to real viewers, without a machine: what scripts/tests/viewers.sh looks at.
///
///     PictureServer ADDRESS [--password TEXT] [--layout us|de] [--size WIDTHxHEIGHT]
///
/// It prints what viewers type and point at, a line each, and takes commands from its input:
/// `fill X Y WIDTH HEIGHT RRGGBB`, `size WIDTH HEIGHT`, `scroll LINES`, `lights BITS`, `off`, `on`,
/// `save FILE` (as PPM), `counts`, `quit`. Each is answered by `ok`.
@main
struct PictureServer {
  static func main() throws {
    var arguments = Array(CommandLine.arguments.dropFirst())
    guard !arguments.isEmpty, let address = VNCAddress(arguments.removeFirst()) else {
      throw Failure.usage
    }
    var settings = VNCServer.Settings(name: "a picture")
    let canvas = Canvas(width: 640, height: 400)
    while !arguments.isEmpty {
      let option = arguments.removeFirst()
      guard !arguments.isEmpty else { throw Failure.usage }
      let value = arguments.removeFirst()
      switch option {
      case "--password": settings.password = Array(value.utf8)
      case "--layout":
        settings.layout = KeyboardLayout.all.first { $0.name == value } ?? .us
      case "--size":
        let sides = value.split(separator: "x").compactMap { Int($0) }
        canvas.resize(sides[0], sides[1])
      default: throw Failure.usage
      }
    }
    let server = try VNCServer(try VNCListener(address), settings)
    let input = PrintedInput(canvas)
    server.show(ShownMachine(display: canvas, keyboard: input, pointer: input))
    say("ready")
    while let line = readLine() {
      let words = line.split(separator: " ").map(String.init)
      let numbers = words.dropFirst().map { Int($0) ?? 0 }
      switch words.first {
      case "fill": canvas.fill(numbers, UInt32(words[5], radix: 16) ?? 0)
      case "size": canvas.resize(numbers[0], numbers[1])
      case "scroll": canvas.scroll(numbers[0])
      case "lights": canvas.setLights(UInt8(numbers[0]))
      case "off": canvas.setShown(false)
      case "on": canvas.setShown(true)
      case "save": try canvas.portablePixmap.write(to: URL(filePath: words[1]))
      case "counts":
        let counts = server.counts
        say(
          "viewers \(counts.viewers) looks \(counts.looks) wakes \(counts.wakes)"
            + " log \(canvas.logsWrites)")
      case "quit":
        server.stop()
        say("ok")
        return
      default: say("?")
      }
      say("ok")
    }
    server.stop()
  }

  enum Failure: Error { case usage }

  static func say(_ text: String) {
    FileHandle.standardOutput.write(Data("\(text)\n".utf8))
  }
}

/// A picture that anything may be painted on: gradients with a grid, so that every place differs.
final class Canvas: PictureSource {
  private struct State {
    var mode: DisplayMode
    var pixels: [UInt32]
    var isShown = true
    var logsWrites = false
    var lights: UInt8 = 0
    var written: [UInt64]

    init(_ width: Int, _ height: Int) {
      mode = DisplayMode(width: width, height: height, lineByteCount: 4 * width, offset: 0)
      pixels = (0..<(width * height)).map { index in
        let (x, y) = (UInt32(index % width), UInt32(index / width))
        let isLine = x % 64 == 0 || y % 64 == 0
        return isLine ? 0xFFFFFF : (x & 0xFF) << 16 | (y & 0xFF) << 8 | (x ^ y) & 0xFF
      }
      written = [UInt64](repeating: .max, count: (4 * width * height / 4096 + 64) / 64)
    }

    mutating func setWritten(line: Int) {
      let start = line * mode.lineByteCount / 4096
      let end = ((line + 1) * mode.lineByteCount - 1) / 4096
      for page in start...end { written[page / 64] |= 1 << UInt64(page % 64) }
    }
  }

  private let state: Guarded<State>

  init(width: Int, height: Int) {
    state = Guarded(State(width, height))
  }

  var mode: DisplayMode? { state.withLock { $0.isShown ? $0.mode : nil } }
  var preferredSize: (width: Int, height: Int) { (640, 400) }
  var logsWrites: Bool { state.withLock { $0.logsWrites } }
  var lights: UInt8 { state.withLock { $0.lights } }

  func withLine(_ line: Int, of mode: DisplayMode, _ body: (RawSpan) -> Void) {
    let pixels = state.withLock { state in
      // A mode of before may have had more.
      let start = line * mode.width
      return start + mode.width <= state.pixels.count
        ? Array(state.pixels[start..<(start + mode.width)])
        : [UInt32](repeating: 0, count: mode.width)
    }
    // SAFETY: an integer has no padding.
    unsafe body(pixels.span.bytes)
  }

  func setLogsWrites(_ logsWrites: Bool) {
    state.withLock { state in
      state.logsWrites = logsWrites
      state.written = state.written.map { _ in .max }
    }
  }

  func takeWrittenPages() -> [UInt64] {
    state.withLock { state in
      let written = state.written
      if state.logsWrites { state.written = written.map { _ in 0 } }
      return written
    }
  }

  /// - Parameter place: left, top, width, height.
  func fill(_ place: [Int], _ colour: UInt32) {
    state.withLock { state in
      for y in place[1]..<min(place[1] + place[3], state.mode.height) {
        for x in place[0]..<min(place[0] + place[2], state.mode.width) {
          state.pixels[y * state.mode.width + x] = colour
        }
        state.setWritten(line: y)
      }
    }
  }

  func resize(_ width: Int, _ height: Int) {
    state.withLock { state in
      let (logs, lights) = (state.logsWrites, state.lights)
      state = State(width, height)
      (state.logsWrites, state.lights) = (logs, lights)
    }
  }

  /// Moves all up, as a console does; the lowest lines stay.
  func scroll(_ lines: Int) {
    state.withLock { state in
      let count = lines * state.mode.width
      state.pixels.replaceSubrange(
        0..<(state.pixels.count - count), with: Array(state.pixels[count...]))
      for line in 0..<state.mode.height { state.setWritten(line: line) }
    }
  }

  /// The picture as a file (PPM).
  var portablePixmap: Data {
    state.withLock { state in
      var data = Data("P6 \(state.mode.width) \(state.mode.height) 255\n".utf8)
      for pixel in state.pixels {
        for shift: UInt32 in [16, 8, 0] { data.append(UInt8(pixel >> shift & 0xFF)) }
      }
      return data
    }
  }

  func setShown(_ isShown: Bool) { state.withLock { $0.isShown = isShown } }
  func setLights(_ lights: UInt8) { state.withLock { $0.lights = lights } }
}

/// Prints what a guest's devices would get.
private final class PrintedInput: KeyboardInput, PointerInput {
  private let canvas: Canvas

  init(_ canvas: Canvas) { self.canvas = canvas }

  var lights: KeyboardLights { KeyboardLights(rawValue: canvas.lights) }

  func setKey(_ key: KeyboardKey, isDown: Bool) {
    PictureServer.say("key \(String(key.rawValue, radix: 16)) \(isDown ? "down" : "up")")
  }

  func setPointer(_ state: PointerState) {
    PictureServer.say(
      "pointer \(state.x) \(state.y) of \(state.width)x\(state.height) buttons"
        + " \(state.buttons.rawValue)")
  }

  func turnWheel(vertical: Int, horizontal: Int) {
    PictureServer.say("wheel \(vertical) \(horizontal)")
  }
}
