/// How a rectangle is encoded, or what it says instead of pixels (*pseudo-encodings*). Any value is
/// kept: viewers list what the server does not know. Sources: RFC 6143, sections 7.7 and 7.8; the
/// community's *RFB Protocol*.
struct RFBEncoding: RawRepresentable, Hashable, Sendable {
  let rawValue: Int32

  static let raw = RFBEncoding(rawValue: 0)
  static let copyRectangle = RFBEncoding(rawValue: 1)
  static let rre = RFBEncoding(rawValue: 2)
  static let hextile = RFBEncoding(rawValue: 5)
  static let zlib = RFBEncoding(rawValue: 6)
  static let tight = RFBEncoding(rawValue: 7)
  static let zrle = RFBEncoding(rawValue: 16)

  static let cursor = RFBEncoding(rawValue: -239)
  static let desktopSize = RFBEncoding(rawValue: -223)
  static let extendedKeyEvent = RFBEncoding(rawValue: -258)
  static let lastRectangle = RFBEncoding(rawValue: -224)
  static let desktopName = RFBEncoding(rawValue: -307)
  static let lightState = RFBEncoding(rawValue: -261)
  static let extendedDesktopSize = RFBEncoding(rawValue: -308)
  static let fence = RFBEncoding(rawValue: -312)
  static let continuousUpdates = RFBEncoding(rawValue: -313)
}

/// What the encodings that a viewer lists allow.
struct ViewerAbilities: Hashable, Sendable {
  /// How pixels go out: the one of those listed that is shortest without a compressor.
  let pixels: RFBEncoding
  /// Whether what is of one colour can go out by RRE.
  let takesRRE: Bool
  /// Whether an update may end by a mark and not by a count.
  let endsUpdates: Bool
  let hasCursor: Bool
  let hasName: Bool
  let copiesRectangles: Bool
  let followsSize: Bool
  let followsExtendedSize: Bool
  let sendsScanCodes: Bool
  let hasLights: Bool
  let answersFences: Bool
  let updatesContinuously: Bool

  /// - Parameter excluded: what this connection must not use any more.
  init(_ listed: Set<RFBEncoding> = [], excluding excluded: RFBEncoding? = nil) {
    pixels =
      [.zrle, .tight, .hextile, .rre, .zlib].first { listed.contains($0) && $0 != excluded }
      ?? .raw
    takesRRE = listed.contains(.rre)
    endsUpdates = listed.contains(.lastRectangle)
    hasCursor = listed.contains(.cursor)
    hasName = listed.contains(.desktopName)
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
