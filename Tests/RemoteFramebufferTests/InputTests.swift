import DeviceKit
import Testing

@testable import RemoteFramebuffer

@Suite("Keys and pointers of viewers")
struct InputTests {
  private static func text(_ actions: [KeyTranslator.Action]) -> String {
    actions.map { ($0.isDown ? "+" : "-") + String($0.key.rawValue, radix: 16) }
      .joined(separator: " ")
  }

  /// Keys as characters; `!` before one releases it.
  private static func type(
    _ keysyms: [(UInt32, Bool)], layout: KeyboardLayout = .us, lights: KeyboardLights = []
  ) -> String {
    var keys = KeyTranslator(layout: layout)
    return text(
      keysyms.flatMap {
        keys.actions(keysym: $0.0, scanCode: nil, isDown: $0.1, lights: lights)
      })
  }

  @Test("Scan codes: what viewers were seen to send")
  func scanCodes() {
    let codes: [UInt32: UInt8] = [
      0x1E: 0x04, 0x10: 0x14, 0x15: 0x1C, 0x2C: 0x1D, 0x02: 0x1E, 0x0B: 0x27, 0x1C: 0x28,
      0x01: 0x29,
      0xD3: 0x4C, 0xB8: 0xE6, 0x9C: 0x58, 0x9D: 0xE4, 0xCB: 0x50, 0xDB: 0xE3, 0xC6: 0x48,
      0x54: 0x46,
      0xB7: 0x46, 0x45: 0x53, 0x56: 0x64, 0x2B: 0x31, 0x4F: 0x59, 0x3B: 0x3A, 0x44: 0x43,
      0x57: 0x44,
      0x58: 0x45, 0x64: 0x68, 0x6E: 0x72, 0x76: 0x73, 0x2A: 0xE1, 0x36: 0xE5, 0x38: 0xE2,
      0xDD: 0x65,
    ]
    for (code, usage) in codes { #expect(ScanCodes.key(code)?.rawValue == usage, "\(code)") }
    for code: UInt32 in [0, 0x55, 0x7F, 0x80, 0xFF, 0x100, 0xE01D, .max] {
      #expect(ScanCodes.key(code) == nil)
    }
  }

  @Test("A place is taken, whatever the character; a key that has none falls back to it")
  func places() {
    var keys = KeyTranslator(layout: .us)
    // The Z key of a German keyboard.
    #expect(
      keys.actions(keysym: 0x7A, scanCode: 0x15, isDown: true, lights: [])
        == [KeyTranslator.Action(KeyboardKey(rawValue: 0x1C), isDown: true)])
    #expect(
      Self.text(keys.actions(keysym: 0x61, scanCode: 0, isDown: true, lights: [])) == "+4")
  }

  @Test("A dead key that noVNC presses and never releases is a tap; a modifier stays down")
  func deadKeys() {
    var keys = KeyTranslator(layout: .us)
    #expect(
      Self.text(keys.actions(keysym: 0, scanCode: 0x29, isDown: true, lights: [])) == "+35 -35")
    #expect(keys.actions(keysym: 0, scanCode: 0x29, isDown: false, lights: []).isEmpty)
    #expect(Self.text(keys.actions(keysym: 0, scanCode: 0x1D, isDown: true, lights: [])) == "+e0")
    #expect(keys.releaseAll().count == 1)
  }

  @Test("Characters get the modifiers that they need, and those that are down come back")
  func modifiers() {
    // vncdotool types A and @ without Shift.
    #expect(Self.type([(0x41, true), (0x41, false)]) == "+e1 +4 -e1 -4")
    #expect(Self.type([(0x40, true), (0x40, false)]) == "+e1 +1f -e1 -1f")
    // With Shift nothing is added; a viewer repeats a key that stays down.
    #expect(
      Self.type([(0xFFE1, true), (0x41, true), (0x41, true), (0xFFE1, false), (0x61, false)])
        == "+e1 +4 +4 -e1 -4")
    // Shift and 7 on a German keyboard is a slash, which has no Shift in the United States.
    #expect(Self.type([(0xFFE2, true), (0x2F, true)]) == "+e5 -e5 +38 +e5")
    // AltGr and Q is an at sign there: here it is Shift and 2.
    #expect(Self.type([(0xFE03, true), (0x40, true)]) == "+e6 +e1 -e6 +1f +e6 -e1")
    #expect(Self.type([(0xFE03, true), (0x40, true)], layout: .de) == "+e6 +14")
    #expect(Self.type([(0x40, true)], layout: .de) == "+e6 +14 -e6")
    // Caps Lock turns letters around, and nothing else.
    #expect(Self.type([(0x41, true)], lights: .capsLock) == "+4")
    #expect(Self.type([(0x61, true)], lights: .capsLock) == "+e1 +4 -e1")
    #expect(Self.type([(0x21, true)], lights: .capsLock) == "+e1 +1e -e1")
    #expect(
      Self.type([(0xFFE3, true), (0xFFE9, true), (0xFFFF, true)]) == "+e0 +e2 +4c")
  }

  @Test("Layouts: each printable character of ASCII, and what a German keyboard has")
  func layouts() {
    for layout in KeyboardLayout.all {
      for keysym in 0x20...0x7E as ClosedRange<UInt32> {
        #expect(layout.stroke(keysym) != nil, "\(layout.name) \(keysym)")
      }
    }
    for (character, usage, needsShift, needsAltGr) in [
      ("z", 0x1C, false, false), ("Y", 0x1D, true, false), ("ß", 0x2D, false, false),
      ("?", 0x2D, true, false), ("\\", 0x2D, false, true), ("Ä", 0x34, true, false),
      ("€", 0x08, false, true), ("|", 0x64, false, true), ("µ", 0x10, false, true),
      ("~", 0x30, false, true), ("{", 0x24, false, true), ("'", 0x31, true, false),
    ] as [(Unicode.Scalar, UInt8, Bool, Bool)] {
      let stroke = KeyboardLayout.de.stroke(character.value)
      #expect(stroke?.key.rawValue == usage, "\(character)")
      #expect(stroke?.needsShift == needsShift && stroke?.needsAltGr == needsAltGr)
    }
    // By Unicode number.
    #expect(KeyboardLayout.de.stroke(0x0100_20AC)?.key.rawValue == 0x08)
    // The euro sign's own keysym, and dead keys.
    #expect(KeyboardLayout.de.stroke(0x20AC)?.key.rawValue == 0x08)
    #expect(KeyboardLayout.de.stroke(0xFE51)?.key.rawValue == 0x2E)
    #expect(KeyboardLayout.us.stroke(0xE4) == nil)
    for (keysym, usage) in [
      (0xFFBE, 0x3A), (0xFFC9, 0x45), (0xFFCA, 0x68), (0xFFB0, 0x62), (0xFFB9, 0x61),
      (0xFF8D, 0x58),
      (0xFF15, 0x46), (0xFF6B, 0x48),
    ] as [(UInt32, UInt8)] {
      #expect(KeyboardLayout.key(keysym)?.rawValue == usage)
    }
  }

  @Test("What a viewer holds down is released when it leaves, the last first; once")
  func leaving() {
    var keys = KeyTranslator(layout: .us)
    for keysym: UInt32 in [0xFFE3, 0xFFE9, 0x61] {
      _ = keys.actions(keysym: keysym, scanCode: nil, isDown: true, lights: [])
    }
    #expect(Self.text(keys.releaseAll()) == "-4 -e2 -e0")
    #expect(keys.releaseAll().isEmpty)
    // What was not down is not released.
    #expect(keys.actions(keysym: 0x62, scanCode: nil, isDown: false, lights: []).isEmpty)
  }

  @Test("Pointers: buttons, wheels at their beginning, the picture's edge, an end")
  func pointers() {
    var pointer = PointerTranslator()
    var turns: [[Int]] = []
    for mask: UInt8 in [0, 0x08, 0x08, 0, 0x10, 0, 0x28, 0x40, 0] {
      let turn = pointer.take(x: 1, y: 2, buttons: mask, width: 10, height: 10)
      turns.append([turn.vertical, turn.horizontal])
    }
    #expect(
      turns == [
        [0, 0], [1, 0], [0, 0], [0, 0], [-1, 0], [0, 0], [1, -1], [0, 1], [0, 0],
      ])
    _ = pointer.take(x: 65_535, y: 9, buttons: 0x87, width: 10, height: 10)
    #expect(
      pointer.state
        == PointerState(
          x: 9, y: 9, width: 10, height: 10, buttons: [.left, .middle, .right, .back]))
    #expect(pointer.releaseAll()?.buttons == [])
    #expect(pointer.releaseAll() == nil)
  }
}
