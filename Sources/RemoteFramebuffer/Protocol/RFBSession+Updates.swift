internal import Bytes

/// A part of the picture that moved: where it is now, and where it was.
struct CopiedRectangle: Hashable, Sendable {
  var rectangle: Rectangle
  var sourceX: Int
  var sourceY: Int
}

/// What a viewer gets: *FramebufferUpdate*. Source: RFC 6143, section 7.6.1.
extension RFBSession {
  /// Rectangles that one update may have: 16 bits, and some for pseudo-encodings.
  private static let partLimit = 60_000
  /// Pixels of a rectangle, so that the output grows by little at a time.
  private static let partPixels = 64 << 10
  /// Updates on the way to a viewer that gets them without asking.
  private static let fenceLimit = 3
  /// Pixels of a side, for Tight.
  private static let tightSide = 64
  /// The count of rectangles of an update that ends by *LastRect*.
  private static let openEnd = 0xFFFF
  private static let nothing = Rectangle(x: 0, y: 0, width: 0, height: 0)

  // MARK: What happened to the picture

  /// Takes what a look found; the next update is of this look.
  ///
  /// - Parameters:
  ///   - picture: as it is now.
  ///   - isReady: whether nothing else keeps an update from going out now.
  mutating func take(_ change: SharedPicture.Change, of picture: SharedPicture, isReady: Bool) {
    switch change {
    case .none: break
    case .tiles(let tiles): dirty.formUnion(tiles)
    case .moved(let moved, let tiles): insertMove(moved, tiles, isReady: isReady)
    case .size: setPictureSize(width: picture.width, height: picture.height)
    }
  }

  /// A part of the picture moved, and then these tiles changed.
  private mutating func insertMove(_ moved: CopiedRectangle, _ tiles: TileSet, isReady: Bool) {
    if isReady, canCopy(moved) {
      copies = [moved]
    } else {
      dirty.insert(moved.rectangle)
    }
    dirty.formUnion(tiles)
  }

  /// Whether a copy within the viewer's picture does: what moved is there as it was.
  private func canCopy(_ moved: CopiedRectangle) -> Bool {
    let source = Rectangle(
      x: moved.sourceX, y: moved.sourceY, width: moved.rectangle.width,
      height: moved.rectangle.height)
    return abilities.copiesRectangles && isWaiting && !announcesSize && viewSize == pictureSize
      && copies.isEmpty && !dirty.intersects(source)
      && (isContinuous || request?.intersection(moved.rectangle) == moved.rectangle)
  }

  /// The picture has another size.
  private mutating func setPictureSize(width: Int, height: Int) {
    pictureSize = (width, height)
    if abilities.resizes { announcesSize = true }
    // A viewer that keeps its size sees what fits, and black.
    dirty.insertAll()
  }

  /// The keyboard's lights, by their bits: scroll, num, caps.
  mutating func setLights(_ lights: UInt8) {
    guard lights != self.lights else { return }
    self.lights = lights
    announcesLights = abilities.hasLights
  }

  /// The title of the viewer's window.
  public mutating func setName(_ name: String) {
    guard name != self.name else { return }
    self.name = name
    // One that has not begun gets it with the first message.
    announcesName = isRunning && abilities.hasName
  }

  // MARK: Updates

  /// Whether an update goes out as soon as there is something to show.
  public var isWaiting: Bool {
    isRunning && isIdle && (request != nil || isContinuous) && openFences < Self.fenceLimit
  }

  /// Whether no update is going out.
  private var isIdle: Bool { nextPart == parts.count && output.count < Self.outputLimit }

  /// Whether there is something to show.
  private var hasNews: Bool {
    announcesSize || refusesSize || announcesScanCodes || announcesLights && abilities.hasLights
      || announcesCursor && abilities.hasCursor || announcesName && abilities.hasName
      || !dirty.isEmpty
  }

  /// Begins an update if the viewer waits for one and there is news, and puts out as much of the
  /// update that is going out as there is room for.
  public mutating func update(from picture: SharedPicture) {
    guard isRunning else { return }
    if isWaiting, hasNews || !copies.isEmpty { beginUpdate() }
    while nextPart < parts.count, output.count < Self.outputLimit {
      encode(parts[nextPart], from: picture)
      nextPart += 1
      if nextPart == parts.count {
        if isOpenEnded { output += Self.header(Self.nothing, .lastRectangle) }
        parts = []
        nextPart = 0
        if isContinuous, abilities.answersFences { sendFence() }
        takeMessages()
      }
    }
  }

  private mutating func beginUpdate() {
    let news = takeNews()
    if announcesSize {
      // By itself: what the viewer has is gone, and it asks again.
      announcesSize = false
      viewSize = abilities.resizes ? pictureSize : viewSize
      dirty = TileSet(width: viewSize.width, height: viewSize.height)
      dirty.insertAll()
      copies = []
      let size = sizeRectangles(status: 0)
      beginMessage(rectangleCount: news.count + size.count)
      output += (news + size).flatMap(\.self)
      request = nil
      return
    }
    let view = Rectangle(x: 0, y: 0, width: viewSize.width, height: viewSize.height)
    let region = isContinuous ? view : request ?? view
    var taken = dirty.takeRectangles(in: region).flatMap { rectangle in
      guard abilities.pixels == .tight else {
        return rectangle.parts(
          width: rectangle.width, height: max(Self.partPixels / max(rectangle.width, 1), 1))
      }
      // Little, which suits a palette; a viewer that needs no count first gets what is plain whole.
      let width = abilities.endsUpdates ? Self.partPixels / Self.tightSide : Self.tightSide
      return rectangle.parts(width: width, height: Self.tightSide)
    }
    if taken.count > Self.partLimit {
      for rectangle in taken[Self.partLimit...] { dirty.insert(rectangle) }
      taken.removeSubrange(Self.partLimit...)
    }
    guard !taken.isEmpty || !news.isEmpty || !copies.isEmpty else { return }
    isOpenEnded = abilities.pixels == .tight && abilities.endsUpdates && !taken.isEmpty
    beginMessage(
      rectangleCount: isOpenEnded ? Self.openEnd : news.count + copies.count + taken.count)
    output += news.flatMap(\.self)
    for copied in copies {
      output += Self.header(copied.rectangle, .copyRectangle)
      output += UInt16(copied.sourceX).bigEndianBytes + UInt16(copied.sourceY).bigEndianBytes
    }
    copies = []
    parts = taken
    nextPart = 0
    request = nil
    if taken.isEmpty, isContinuous, abilities.answersFences { sendFence() }
  }

  private mutating func beginMessage(rectangleCount: Int) {
    output += [0, 0] + UInt16(rectangleCount).bigEndianBytes
  }

  /// Rectangles that are no pixels, except a new size.
  private mutating func takeNews() -> [[UInt8]] {
    var news: [[UInt8]] = []
    if announcesScanCodes { news.append(Self.header(Self.nothing, .extendedKeyEvent)) }
    if announcesLights, abilities.hasLights {
      news.append(Self.header(Self.nothing, .lightState) + [lights])
    }
    if announcesCursor, abilities.hasCursor { news.append(cursor) }
    if announcesName, abilities.hasName {
      news.append(Self.header(Self.nothing, .desktopName) + Self.text(name))
    }
    if refusesSize { news += sizeRectangles(status: 1) }
    announcesScanCodes = false
    announcesLights = false
    announcesCursor = false
    announcesName = false
    refusesSize = false
    return news
  }

  /// The pointer that the viewer draws: a dot, black around white, as the guest draws its own.
  private var cursor: [UInt8] {
    let side = 3
    var bytes = Self.header(
      Rectangle(x: side / 2, y: side / 2, width: side, height: side), .cursor)
    for index in 0..<(side * side) {
      writer.append(index == side * side / 2 ? 0xFF_FFFF : 0, to: &bytes)
    }
    // A byte of the mask for each line.
    return bytes + [UInt8](repeating: 0b1110_0000, count: side)
  }

  /// - Parameter status: 0 for a size that the server chose; 1, *Resize is administratively
  ///   prohibited*, answers the viewer's wish.
  private func sizeRectangles(status: Int) -> [[UInt8]] {
    var size = Rectangle(x: 0, y: 0, width: viewSize.width, height: viewSize.height)
    guard abilities.followsExtendedSize else {
      return status == 0 && abilities.followsSize ? [Self.header(size, .desktopSize)] : []
    }
    // Where a place would be stand the reason, 1 for the viewer's wish, and the status.
    (size.x, size.y) = (status, status)
    let screen =
      UInt32(1).bigEndianBytes + [0, 0, 0, 0] + UInt16(size.width).bigEndianBytes
      + UInt16(size.height).bigEndianBytes + UInt32(0).bigEndianBytes
    return [Self.header(size, .extendedDesktopSize) + [1, 0, 0, 0] + screen]
  }

  private mutating func encode(_ rectangle: Rectangle, from picture: SharedPicture) {
    let block = picture.block(rectangle)
    switch abilities.pixels {
    case .zrle:
      // Never Zlib on this connection.
      excludedEncoding = .zlib
      output += Self.header(rectangle, .zrle)
      ZRLEEncoder.encode(block, writer, &wholeStream, to: &output)
    case .tight: encodeTight(block, at: rectangle)
    case .hextile:
      guard !appendRRE(block, at: rectangle, limit: Self.plainRREByteCount) else { return }
      output += Self.header(rectangle, .hextile)
      HextileEncoder.encode(block, writer, to: &output)
    case .zlib:
      guard !appendRRE(block, at: rectangle, limit: Self.plainRREByteCount) else { return }
      excludedEncoding = .zrle
      output += Self.header(rectangle, .zlib)
      var pixels: [UInt8] = []
      writer.append(block, to: &pixels)
      let bytes = wholeStream.bytes(pixels)
      output += UInt32(bytes.count).bigEndianBytes + bytes
    default:
      guard !appendRRE(block, at: rectangle, limit: block.pixels.count * writer.byteCount) else {
        return
      }
      output += Self.header(rectangle, .raw)
      writer.append(block, to: &output)
    }
  }

  /// More than one colour takes by RRE, and less than one and a rectangle.
  private static let plainRREByteCount = 9

  /// Puts a block out by RRE, if the viewer takes that and it is shorter than `limit`.
  private mutating func appendRRE(_ block: PixelBlock, at rectangle: Rectangle, limit: Int) -> Bool
  {
    guard abilities.takesRRE, let bytes = RREEncoder.bytes(block, writer, limit: limit) else {
      return false
    }
    output += Self.header(rectangle, .rre) + bytes
    return true
  }

  /// In parts that suit a palette, unless it is of one colour.
  private mutating func encodeTight(_ block: PixelBlock, at rectangle: Rectangle) {
    let parts =
      isOpenEnded && !block.isPlain
      ? rectangle.parts(width: Self.tightSide, height: Self.tightSide) : [rectangle]
    for part in parts {
      output += Self.header(part, .tight)
      let block =
        parts.count == 1
        ? block
        : block.part(
          x: part.x - rectangle.x, y: part.y - rectangle.y, width: part.width,
          height: part.height)
      TightEncoder.encode(block, writer, &tightStream, to: &output)
    }
  }

  private static func header(_ rectangle: Rectangle, _ encoding: RFBEncoding) -> [UInt8] {
    [rectangle.x, rectangle.y, rectangle.width, rectangle.height].flatMap {
      UInt16($0).bigEndianBytes
    } + UInt32(bitPattern: encoding.rawValue).bigEndianBytes
  }
}
