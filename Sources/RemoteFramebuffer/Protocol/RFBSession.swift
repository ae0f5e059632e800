internal import Bytes

/// One viewer's side of the protocol, as bytes: version 3.8, and 3.7 and 3.3 for older viewers.
///
/// It has neither socket nor clock. What the viewer sends goes into `receive`; what it is to get
/// comes from `takeOutput`. All lengths are bounded: a viewer that sends what there cannot be has
/// `end` set, and the rest is not read. Source: RFC 6143.
public struct RFBSession: Sendable {
  /// What a session begins with.
  public struct Settings: Sendable {
    /// The window's title.
    public var name: String
    /// Nil lets all viewers in. Only the first 8 bytes count.
    public var password: [UInt8]?
    /// 16 bytes that no one can foresee.
    public var challenge: [UInt8]

    public init(name: String, password: [UInt8]?, challenge: [UInt8]) {
      precondition(
        challenge.count == VNCAuthentication.challengeByteCount,
        "challenge of \(challenge.count) bytes")
      self.name = name
      self.password = password
      self.challenge = challenge
    }
  }

  enum Phase {
    case version
    case security
    case response
    case shared
    case running
  }

  /// Output past this waits for the viewer to read, and with it all updates.
  static let outputLimit = 256 << 10
  /// Encodings that a viewer may list.
  static let encodingLimit = 1024
  /// Input past this waits; more than the longest message that is taken as a whole.
  static let inputLimit = 64 << 10
  /// Bytes of a clipboard, which are dropped.
  static let clipboardLimit = 16 << 20

  let settings: Settings
  var phase = Phase.version
  /// 3, 7 or 8.
  var minorVersion: UInt8 = 8
  /// Why the session is over; nil while it is not. Output that is left still goes out.
  public internal(set) var end: String?
  /// Whether it is over because the password was wrong.
  public internal(set) var wasRefused = false

  var input: [UInt8] = []
  /// Bytes to come that nothing looks at.
  var skipped = 0
  var output: [UInt8] = []
  var events: [ViewerEvent] = []

  // What the viewer asked for.
  var abilities = ViewerAbilities()
  var format = PixelFormat.own
  var writer = PixelWriter(.own)
  /// The region of an update that was asked for.
  var request: Rectangle?
  var isContinuous = false

  // What the viewer has.
  /// The size of its picture, in pixels.
  var viewSize: (width: Int, height: Int)
  var dirty: TileSet
  var pictureSize: (width: Int, height: Int)
  var lights: UInt8 = 0

  // What goes out with the next update, beside pixels.
  var announcesSize = false
  var refusesSize = false
  var announcesScanCodes = false
  var announcesLights = false
  var announcesCursor = false
  var announcesName = false
  var announcedContinuousUpdates = false

  // The update that is going out.
  var copies: [CopiedRectangle] = []
  var parts: [Rectangle] = []
  var nextPart = 0
  /// Whether it ends by *LastRect*: how many rectangles it has was not known.
  var isOpenEnded = false
  /// Fences that the viewer has not answered: updates on the way.
  var openFences = 0
  var tightStream = StoredStream()
  /// Of ZRLE or of Zlib, the one that was first: some viewers have one inflater for both, and a
  /// second stream's header breaks it.
  var wholeStream = StoredStream()
  var excludedEncoding: RFBEncoding?
  /// The window's title.
  var name: String

  /// A session with a viewer that just connected.
  ///
  /// - Parameters:
  ///   - width: of the picture now, in pixels, as the height.
  public init(_ settings: Settings, width: Int, height: Int) {
    self.settings = settings
    name = settings.name
    pictureSize = (width, height)
    viewSize = pictureSize
    dirty = TileSet(width: width, height: height)
    output = Array("RFB 003.008\n".utf8)
  }

  /// Whether the viewer was let in.
  public var isRunning: Bool { phase == .running && end == nil }

  /// Whether `takeOutput` has something.
  public var hasOutput: Bool { !output.isEmpty }

  /// What is to be sent to the viewer, once.
  public mutating func takeOutput() -> [UInt8] {
    defer { output = [] }
    return output
  }

  /// What the user did since the last call.
  public mutating func takeEvents() -> [ViewerEvent] {
    defer { events = [] }
    return events
  }

  /// Takes what the viewer sent, in pieces of any length.
  public mutating func receive(_ bytes: [UInt8]) {
    guard end == nil else { return }
    input += bytes
    takeMessages()
  }

  /// Whether more input is to wait: the viewer has not read an update, and what it sent has to come
  /// after that.
  public var isFull: Bool { input.count >= Self.inputLimit }

  /// Takes what has arrived whole, and may be taken now.
  mutating func takeMessages() {
    var place = 0
    while end == nil, place < input.count, !mustWait(at: place), let count = take(at: place) {
      place += count
    }
    input.removeFirst(min(place, input.count))
  }

  /// Whether a message would change an update that is going out, or be answered within it.
  private func mustWait(at place: Int) -> Bool {
    phase == .running && skipped == 0 && nextPart < parts.count
      && Self.changesUpdates(RFBMessage(input, at: place))
  }

  /// Takes a message.
  ///
  /// - Returns: its bytes; nil if not all are there.
  private mutating func take(at place: Int) -> Int? {
    if skipped > 0 {
      let count = min(skipped, input.count - place)
      skipped -= count
      return count
    }
    let message = RFBMessage(input, at: place)
    switch phase {
    case .version: return takeVersion(message)
    case .security: return takeSecurity(message)
    case .response: return takeResponse(message)
    case .shared: return takeShared(message)
    case .running: return takeMessage(message)
    }
  }

  // MARK: The beginning

  private mutating func takeVersion(_ message: RFBMessage) -> Int? {
    guard let bytes = message.bytes(0, 12) else {
      // What is none need not be whole: an HTTP request, for instance.
      if message.byte(0) != UInt8(ascii: "R") { end = "no version" }
      return nil
    }
    let text = String(decoding: bytes, as: UTF8.self)
    guard text.hasPrefix("RFB 003."), text.hasSuffix("\n"),
      let minor = Int(text.dropFirst(8).prefix(3))
    else {
      end = "no version"
      return nil
    }
    // 3.5 was never one, and counts as 3.3; what is newer gets the newest.
    minorVersion = minor >= 8 ? 8 : minor == 7 ? 7 : 3
    let type = securityType
    if minorVersion == 3 {
      output += UInt32(type).bigEndianBytes
      begin(type)
    } else {
      output += [1, type]
      phase = .security
    }
    return 12
  }

  private var securityType: UInt8 { settings.password == nil ? 1 : 2 }

  private mutating func takeSecurity(_ message: RFBMessage) -> Int? {
    guard let type = message.byte(0) else { return nil }
    guard type == securityType else {
      end = "security type \(type)"
      return nil
    }
    begin(type)
    return 1
  }

  private mutating func begin(_ type: UInt8) {
    if type == 2 {
      output += settings.challenge
      phase = .response
    } else {
      if minorVersion == 8 { output += UInt32(0).bigEndianBytes }
      phase = .shared
    }
  }

  private mutating func takeResponse(_ message: RFBMessage) -> Int? {
    guard let response = message.bytes(0, VNCAuthentication.challengeByteCount) else { return nil }
    let authentication = VNCAuthentication(password: settings.password ?? [])
    guard authentication.accepts(response, to: settings.challenge) else {
      output += UInt32(1).bigEndianBytes
      if minorVersion == 8 { output += Self.text("wrong password") }
      end = "wrong password"
      wasRefused = true
      return nil
    }
    output += UInt32(0).bigEndianBytes
    phase = .shared
    return response.count
  }

  /// A viewer that wants to be alone gets no such thing: TigerVNC and gvncviewer ask for it by
  /// default.
  private mutating func takeShared(_ message: RFBMessage) -> Int? {
    guard message.byte(0) != nil else { return nil }
    viewSize = pictureSize
    dirty = TileSet(width: viewSize.width, height: viewSize.height)
    output += UInt16(viewSize.width).bigEndianBytes + UInt16(viewSize.height).bigEndianBytes
    output += PixelFormat.own.bytes + Self.text(name)
    phase = .running
    return 1
  }

  /// A length and a text.
  static func text(_ text: String) -> [UInt8] {
    UInt32(text.utf8.count).bigEndianBytes + Array(text.utf8)
  }
}

/// What a viewer sent, from a message's first byte on.
struct RFBMessage {
  private let input: [UInt8]
  private let place: Int

  init(_ input: [UInt8], at place: Int) {
    self.input = input
    self.place = place
  }

  /// Whether so many bytes are there.
  func has(_ count: Int) -> Bool { count <= input.count - place }

  func byte(_ offset: Int) -> UInt8? { has(offset + 1) ? input[place + offset] : nil }

  /// Nil unless all are there.
  func bytes(_ offset: Int, _ count: Int) -> [UInt8]? {
    has(offset + count) ? Array(input[(place + offset)..<(place + offset + count)]) : nil
  }

  /// An integer that is there.
  func short(_ offset: Int) -> Int { Int(input.loadBE(at: place + offset, as: UInt16.self)) }

  /// An integer that is there.
  func word(_ offset: Int) -> UInt32 { input.loadBE(at: place + offset) }
}
