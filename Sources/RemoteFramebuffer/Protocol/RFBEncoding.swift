/// How a rectangle is encoded, or what it says instead of pixels (*pseudo-encodings*). Any value is
/// kept: viewers list what the server does not know. Sources: RFC 6143, sections 7.7 and 7.8; the
/// community's *RFB Protocol*.
struct RFBEncoding: RawRepresentable, Hashable, Sendable {
  let rawValue: Int32

  static let raw = RFBEncoding(rawValue: 0)
  static let copyRectangle = RFBEncoding(rawValue: 1)
  static let hextile = RFBEncoding(rawValue: 5)
  static let tight = RFBEncoding(rawValue: 7)
  static let zrle = RFBEncoding(rawValue: 16)

  static let desktopSize = RFBEncoding(rawValue: -223)
  static let extendedKeyEvent = RFBEncoding(rawValue: -258)
  static let lightState = RFBEncoding(rawValue: -261)
  static let extendedDesktopSize = RFBEncoding(rawValue: -308)
  static let fence = RFBEncoding(rawValue: -312)
  static let continuousUpdates = RFBEncoding(rawValue: -313)
}

/// What the encodings that a viewer lists allow.
struct ViewerAbilities: Hashable, Sendable {
  /// How pixels go out: the one of those listed that is shortest without a compressor. Zlib is
  /// never used: some viewers have one inflater for it and for ZRLE.
  let pixels: RFBEncoding
  let copiesRectangles: Bool
  let followsSize: Bool
  let followsExtendedSize: Bool
  let sendsScanCodes: Bool
  let hasLights: Bool
  let answersFences: Bool
  let updatesContinuously: Bool

  init(_ listed: Set<RFBEncoding> = []) {
    pixels = [.zrle, .tight, .hextile].first(where: listed.contains) ?? .raw
    copiesRectangles = listed.contains(.copyRectangle)
    followsSize = listed.contains(.desktopSize)
    followsExtendedSize = listed.contains(.extendedDesktopSize)
    sendsScanCodes = listed.contains(.extendedKeyEvent)
    hasLights = listed.contains(.lightState)
    answersFences = listed.contains(.fence)
    updatesContinuously = listed.contains(.continuousUpdates)
  }

  /// Whether the picture's size may change under the viewer.
  var resizes: Bool { followsSize || followsExtendedSize }
}
