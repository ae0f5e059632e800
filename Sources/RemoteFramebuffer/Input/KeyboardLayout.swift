internal import DeviceKit

/// Where a layout has its characters, for viewers that send characters and no places: the layout
/// that the guest has set.
public struct KeyboardLayout: Sendable {
  /// A key, and what has to be down with it.
  struct Stroke: Hashable, Sendable {
    let key: KeyboardKey
    let needsShift: Bool
    let needsAltGr: Bool
    /// Whether Caps Lock turns Shift around.
    let followsCapsLock: Bool
  }

  /// `us` or `de`.
  public let name: String
  /// By keysym.
  private let strokes: [UInt32: Stroke]

  /// All there are.
  public static let all = [us, de]

  /// The United States.
  public static let us = KeyboardLayout(
    "us",
    rows: [
      Row(numberKeys, "`1234567890-=", "~!@#$%^&*()_+"),
      Row(upperKeys, "qwertyuiop[]\\", "QWERTYUIOP{}|"),
      Row(homeKeys, "asdfghjkl;'", "ASDFGHJKL:\""),
      Row(lowerKeys, "zxcvbnm,./", "ZXCVBNM<>?"),
    ])

  /// Germany.
  public static let de = KeyboardLayout(
    "de",
    rows: [
      Row(numberKeys, "^1234567890ß´", "°!\"§$%&/()=?`", "  ²³   {[]}\\ "),
      Row(upperKeys, "qwertzuiopü+#", "QWERTZUIOPÜ*'", "@ €        ~ "),
      Row(homeKeys, "asdfghjklöä", "ASDFGHJKLÖÄ"),
      Row([0x64] + lowerKeys, "<yxcvbnm,.-", ">YXCVBNM;:_", "|      µ   "),
    ],
    // *dead_grave*, *dead_acute*, *dead_circumflex*, *dead_tilde*.
    dead: [
      (0xFE50, 0x2E, true, false), (0xFE51, 0x2E, false, false), (0xFE52, 0x35, false, false),
      (0xFE53, 0x30, false, true),
    ])

  // Usages of the keys from the left.
  private static let numberKeys: [UInt8] = [0x35] + Array(0x1E...0x27) + [0x2D, 0x2E]
  private static let upperKeys: [UInt8] = [
    0x14, 0x1A, 0x08, 0x15, 0x17, 0x1C, 0x18, 0x0C, 0x12, 0x13, 0x2F, 0x30, 0x31,
  ]
  private static let homeKeys: [UInt8] = [
    0x04, 0x16, 0x07, 0x09, 0x0A, 0x0B, 0x0D, 0x0E, 0x0F, 0x33, 0x34,
  ]
  private static let lowerKeys: [UInt8] = [
    0x1D, 0x1B, 0x06, 0x19, 0x05, 0x11, 0x10, 0x36, 0x37, 0x38,
  ]

  /// A row of keys: what each gives alone, with Shift, and with AltGr, where a space is nothing.
  private struct Row {
    let keys: [UInt8]
    let plain: String
    let shifted: String
    let altGr: String

    init(_ keys: [UInt8], _ plain: String, _ shifted: String, _ altGr: String = "") {
      self.keys = keys
      self.plain = plain
      self.shifted = shifted
      self.altGr = altGr
    }
  }

  private init(
    _ name: String, rows: [Row],
    dead: [(keysym: UInt32, usage: UInt8, needsShift: Bool, needsAltGr: Bool)] = []
  ) {
    self.name = name
    var strokes: [UInt32: Stroke] = [
      0x20: Stroke(
        key: KeyboardKey(rawValue: 0x2C), needsShift: false, needsAltGr: false,
        followsCapsLock: false)
    ]
    for row in rows {
      let letters = zip(row.plain, row.shifted).map { $0.uppercased() == String($1) && $0 != $1 }
      let levels = [
        (row.plain, false, false), (row.shifted, true, false), (row.altGr, false, true),
      ]
      for (characters, needsShift, needsAltGr) in levels {
        for (index, character) in characters.enumerated() where character != " " {
          let stroke = Stroke(
            key: KeyboardKey(rawValue: row.keys[index]), needsShift: needsShift,
            needsAltGr: needsAltGr, followsCapsLock: letters[index] && !needsAltGr)
          for scalar in character.unicodeScalars {
            strokes[Self.keysym(scalar)] = stroke
          }
        }
      }
    }
    for (keysym, usage, needsShift, needsAltGr) in dead {
      strokes[keysym] = Stroke(
        key: KeyboardKey(rawValue: usage), needsShift: needsShift, needsAltGr: needsAltGr,
        followsCapsLock: false)
    }
    self.strokes = strokes
  }

  /// Latin-1 is as it is; the euro sign has a keysym of its own.
  private static func keysym(_ scalar: Unicode.Scalar) -> UInt32 { scalar.value }

  /// How a character is typed; nil if the layout does not have it.
  func stroke(_ keysym: UInt32) -> Stroke? {
    // Characters by their Unicode number have this bit.
    strokes[keysym & 0xFF00_0000 == 0x0100_0000 ? keysym & 0xFF_FFFF : keysym]
  }

  /// Keys that all layouts have at the same place.
  static func key(_ keysym: UInt32) -> KeyboardKey? {
    let usage: UInt8? =
      switch keysym {
      case 0xFFBE...0xFFC9: UInt8(0x3A + keysym - 0xFFBE)  // F1 to F12
      case 0xFFCA...0xFFD5: UInt8(0x68 + keysym - 0xFFCA)  // F13 to F24
      case 0xFFB1...0xFFB9: UInt8(0x59 + keysym - 0xFFB1)  // KP_1 to KP_9
      default: others[keysym]
      }
    return usage.map { KeyboardKey(rawValue: $0) }
  }

  private static let others: [UInt32: UInt8] = [
    // BackSpace, Tab, ISO_Left_Tab, Return, Pause, Scroll_Lock, Sys_Req, Escape.
    0xFF08: 0x2A, 0xFF09: 0x2B, 0xFE20: 0x2B, 0xFF0D: 0x28, 0xFF13: 0x48, 0xFF14: 0x47,
    0xFF15: 0x46, 0xFF1B: 0x29,
    // Home, Left, Up, Right, Down, Page_Up, Page_Down, End.
    0xFF50: 0x4A, 0xFF51: 0x50, 0xFF52: 0x52, 0xFF53: 0x4F, 0xFF54: 0x51, 0xFF55: 0x4B,
    0xFF56: 0x4E, 0xFF57: 0x4D,
    // Print, Insert, Menu, Break, Num_Lock, Delete.
    0xFF61: 0x46, 0xFF63: 0x49, 0xFF67: 0x65, 0xFF6B: 0x48, 0xFF7F: 0x53, 0xFFFF: 0x4C,
    // The keypad without Num Lock: Enter, Home, Left, Up, Right, Down, Page_Up, Page_Down, End,
    // Begin, Insert, Delete.
    0xFF8D: 0x58, 0xFF95: 0x5F, 0xFF96: 0x5C, 0xFF97: 0x60, 0xFF98: 0x5E, 0xFF99: 0x5A,
    0xFF9A: 0x61, 0xFF9B: 0x5B, 0xFF9C: 0x59, 0xFF9D: 0x5D, 0xFF9E: 0x62, 0xFF9F: 0x63,
    // Its signs: multiply, add, separator, subtract, decimal, divide, 0, equal.
    0xFFAA: 0x55, 0xFFAB: 0x57, 0xFFAC: 0x63, 0xFFAD: 0x56, 0xFFAE: 0x63, 0xFFAF: 0x54,
    0xFFB0: 0x62, 0xFFBD: 0x67,
    // Shift, Control, Caps_Lock, Meta, Alt, Super; ISO_Level3_Shift and Mode_switch are AltGr.
    0xFFE1: 0xE1, 0xFFE2: 0xE5, 0xFFE3: 0xE0, 0xFFE4: 0xE4, 0xFFE5: 0x39, 0xFFE7: 0xE3,
    0xFFE8: 0xE7, 0xFFE9: 0xE2, 0xFFEA: 0xE6, 0xFFEB: 0xE3, 0xFFEC: 0xE7, 0xFE03: 0xE6,
    0xFF7E: 0xE6,
  ]
}
