import HostSystem
internal import Synchronization

@testable internal import DeviceKit
@testable internal import RemoteFramebuffer

/// A viewer's bytes, plain and in a WebSocket, from its first on, in pieces; the display changes
/// its picture and its size meanwhile. What goes out is bounded, and keys that are down come up.
final class ViewerTarget: FuzzTarget {
  static let name = "viewer"
  static let maximumInputByteCount = 2048
  static var role: ThreadRole { .viewer }

  private static let challenge = [UInt8](repeating: 0x5A, count: 16)
  private static let password = Array("secret".utf8)
  /// What lets a viewer in.
  private static let response = VNCAuthentication(password: password).response(to: challenge)
  private let display = FuzzedDisplay()

  init() throws {}

  func run(_ input: FuzzInput) {
    display.show(width: 70, height: 20)
    var picture = SharedPicture(width: 1, height: 1)
    _ = picture.refresh(from: display, looksAtAll: true)
    let choice = input.byte
    var session = RFBSession(
      RFBSession.Settings(
        name: "fuzz", password: choice & 1 != 0 ? Self.password : nil, challenge: Self.challenge),
      width: picture.width, height: picture.height)
    var browser = choice & 2 != 0 ? WebSocketStream(trustsAllOrigins: choice & 4 != 0) : nil
    var keys = KeyTranslator(layout: choice & 8 != 0 ? .de : .us)
    var pointer = PointerTranslator()
    var down: Set<KeyboardKey> = []
    // Most inputs begin behind the handshake, which others take apart.
    if choice & 0x30 != 0 {
      session.receive(Array("RFB 003.008\n".utf8))
      session.receive(choice & 1 != 0 ? [2] + Self.response + [1] : [1, 1])
      require(session.isRunning, "not let in: \(session.end ?? "")")
    }
    while !input.isEmpty {
      let action = input.byte
      switch action & 7 {
      case 0: display.show(width: 1 + Int(input.byte), height: 1 + Int(input.byte & 0x3F))
      case 1: display.setShown(action & 8 != 0)
      case 2: display.draw(input.byte, UInt32(input.uint16) << 4)
      case 3: session.setLights(input.byte & 7)
      default:
        let bytes = input.bytes(Int(action >> 3) + 1)
        if var stream = browser {
          let received = stream.receive(bytes)
          browser = stream
          require(received.stream.count <= bytes.count + 8192, "more than came")
          session.receive(received.stream)
        } else {
          session.receive(bytes)
        }
      }
      for event in session.takeEvents() {
        take(event, &keys, &pointer, &down, picture)
      }
      look(&picture, &session)
    }
    for action in keys.releaseAll() {
      require(!action.isDown, "a key went down at the end")
      down.remove(action.key)
    }
    require(down.isEmpty, "keys stayed down: \(down)")
  }

  private func take(
    _ event: ViewerEvent, _ keys: inout KeyTranslator, _ pointer: inout PointerTranslator,
    _ down: inout Set<KeyboardKey>, _ picture: SharedPicture
  ) {
    switch event {
    case .key(let keysym, let scanCode, let isDown):
      for action in keys.actions(keysym: keysym, scanCode: scanCode, isDown: isDown, lights: []) {
        if action.isDown { down.insert(action.key) } else { down.remove(action.key) }
      }
    case .pointer(let x, let y, let buttons):
      let turns = pointer.take(
        x: x, y: y, buttons: buttons, width: picture.width, height: picture.height)
      require(abs(turns.vertical) <= 1 && abs(turns.horizontal) <= 1, "\(turns)")
      require(
        pointer.state.map { $0.x < picture.width && $0.y < picture.height } ?? false, "outside")
    }
  }

  private func look(_ picture: inout SharedPicture, _ session: inout RFBSession) {
    let change = picture.refresh(from: display)
    session.take(change, of: picture, isReady: session.isWaiting)
    // The largest picture here is sent in one go.
    session.update(from: picture)
    let output = session.takeOutput()
    require(output.count < 1 << 20, "\(output.count) bytes at once")
  }
}

/// A display of at most 256 by 64 pixels.
private final class FuzzedDisplay: PictureSource {
  private struct State {
    var mode = DisplayMode(width: 1, height: 1, lineByteCount: 4, offset: 0)
    var pixels: [UInt32] = [0]
    var isShown = true
    var isWritten = true
  }

  private let state = Mutex(State())

  var mode: DisplayMode? { state.withLock { $0.isShown ? $0.mode : nil } }
  var preferredSize: (width: Int, height: Int) { (64, 16) }

  func withLine(_ line: Int, of mode: DisplayMode, _ body: (RawSpan) -> Void) {
    let pixels = state.withLock { state in
      Array(state.pixels[(line * mode.width)..<((line + 1) * mode.width)])
    }
    // SAFETY: an integer has no padding.
    unsafe body(pixels.span.bytes)
  }

  func setLogsWrites(_ logsWrites: Bool) {}

  func takeWrittenPages() -> [UInt64] {
    state.withLock { state in
      defer { state.isWritten = false }
      return [UInt64](repeating: state.isWritten ? .max : 0, count: 1)
    }
  }

  func show(width: Int, height: Int) {
    state.withLock { state in
      state = State()
      state.mode = DisplayMode(
        width: width, height: height, lineByteCount: 4 * width, offset: 0)
      state.pixels = [UInt32](repeating: 0, count: width * height)
    }
  }

  func setShown(_ isShown: Bool) { state.withLock { $0.isShown = isShown } }

  func draw(_ place: UInt8, _ colour: UInt32) {
    state.withLock { state in
      state.isWritten = true
      let start = Int(place) * state.pixels.count / 256
      for index in start..<min(start + 37, state.pixels.count) {
        state.pixels[index] = colour &+ UInt32(index % 3)
      }
    }
  }
}
