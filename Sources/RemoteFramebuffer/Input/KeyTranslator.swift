public import DeviceKit

/// What one viewer's keys come to: keys of the guest's keyboard, and none that stays down.
public struct KeyTranslator: Sendable {
  /// A key that goes down or up.
  public struct Action: Hashable, Sendable {
    public let key: KeyboardKey
    public let isDown: Bool

    public init(_ key: KeyboardKey, isDown: Bool) {
      self.key = key
      self.isDown = isDown
    }
  }

  private enum Key {
    static let modifiers: ClosedRange<UInt8> = 0xE0...0xE7
    static let leftShift = KeyboardKey(rawValue: 0xE1)
    static let rightShift = KeyboardKey(rawValue: 0xE5)
    static let altGr = KeyboardKey(rawValue: 0xE6)
  }

  private let layout: KeyboardLayout
  /// In the order in which they went down.
  private var down: [KeyboardKey] = []
  /// What characters that are down pressed.
  private var pressed: [UInt32: KeyboardKey] = [:]

  /// - Parameter layout: the guest's, for viewers that send characters.
  public init(layout: KeyboardLayout) {
    self.layout = layout
  }

  /// What a key of the viewer comes to, in order.
  ///
  /// - Parameters:
  ///   - keysym: as in `ViewerEvent`.
  ///   - lights: the guest's: Caps Lock turns letters around.
  public mutating func actions(
    keysym: UInt32, scanCode: UInt32?, isDown: Bool, lights: KeyboardLights
  ) -> [Action] {
    if let key = scanCode.flatMap(ScanCodes.key) {
      // noVNC presses dead keys so, and never releases them.
      if keysym == 0, isDown, !Key.modifiers.contains(key.rawValue) {
        return [Action(key, isDown: true), Action(key, isDown: false)]
      }
      return isDown ? press(key) : release(key)
    }
    if let key = KeyboardLayout.key(keysym) { return isDown ? press(key) : release(key) }
    guard isDown else {
      // With other modifiers the same key may come up as another character.
      return (pressed.removeValue(forKey: keysym) ?? layout.stroke(keysym)?.key).map {
        release($0)
      } ?? []
    }
    guard let stroke = layout.stroke(keysym) else { return [] }
    pressed[keysym] = stroke.key
    return press(stroke, lights)
  }

  /// Releases what is down: the viewer left.
  public mutating func releaseAll() -> [Action] {
    defer {
      down = []
      pressed = [:]
    }
    return down.reversed().map { Action($0, isDown: false) }
  }

  private mutating func press(_ key: KeyboardKey) -> [Action] {
    if !down.contains(key) { down.append(key) }
    return [Action(key, isDown: true)]
  }

  private mutating func release(_ key: KeyboardKey) -> [Action] {
    guard let place = down.firstIndex(of: key) else { return [] }
    down.remove(at: place)
    return [Action(key, isDown: false)]
  }

  /// Presses a key with exactly the modifiers that it needs, and puts them back.
  private mutating func press(_ stroke: KeyboardLayout.Stroke, _ lights: KeyboardLights) -> [Action]
  {
    let needsShift =
      stroke.needsShift != (stroke.followsCapsLock && lights.contains(.capsLock))
    var before = changes([Key.leftShift, Key.rightShift], isNeeded: needsShift)
    before += changes([Key.altGr], isNeeded: stroke.needsAltGr)
    let after = before.reversed().map { Action($0.key, isDown: !$0.isDown) }
    return before + press(stroke.key) + after
  }

  /// What brings modifiers that do the same to where they are needed.
  private func changes(_ keys: [KeyboardKey], isNeeded: Bool) -> [Action] {
    let held = keys.filter(down.contains)
    if isNeeded { return held.isEmpty ? [Action(keys[0], isDown: true)] : [] }
    return held.map { Action($0, isDown: false) }
  }
}

/// What one viewer's pointer comes to.
struct PointerTranslator: Sendable {
  private enum Button {
    static let wheelUp: UInt8 = 0x08
    static let wheelDown: UInt8 = 0x10
    static let wheelLeft: UInt8 = 0x20
    static let wheelRight: UInt8 = 0x40
  }

  private var mask: UInt8 = 0
  private(set) var state: PointerState?

  /// Turns of the wheels that an event adds; `state` is what it says of the pointer.
  ///
  /// - Parameters:
  ///   - width: of the picture, in pixels, as the height. A place outside of it is moved to its
  ///     edge.
  mutating func take(
    x: Int, y: Int, buttons: UInt8, width: Int, height: Int
  ) -> (vertical: Int, horizontal: Int) {
    // A turn is a button that goes down.
    let pressed = buttons & ~mask
    mask = buttons
    var down: PointerButtons = []
    if buttons & 0x01 != 0 { down.insert(.left) }
    if buttons & 0x02 != 0 { down.insert(.middle) }
    if buttons & 0x04 != 0 { down.insert(.right) }
    if buttons & 0x80 != 0 { down.insert(.back) }
    let (width, height) = (max(width, 1), max(height, 1))
    state = PointerState(
      x: min(max(x, 0), width - 1), y: min(max(y, 0), height - 1), width: width, height: height,
      buttons: down)
    func turns(_ more: UInt8, _ less: UInt8) -> Int {
      (pressed & more != 0 ? 1 : 0) - (pressed & less != 0 ? 1 : 0)
    }
    return (
      turns(Button.wheelUp, Button.wheelDown), turns(Button.wheelRight, Button.wheelLeft)
    )
  }

  /// The state with its buttons released; nil if none is down.
  mutating func releaseAll() -> PointerState? {
    mask = 0
    guard var state, !state.buttons.isEmpty else { return nil }
    state.buttons = []
    self.state = state
    return state
  }
}
