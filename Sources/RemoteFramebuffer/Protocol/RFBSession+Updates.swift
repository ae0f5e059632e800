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
    let side = abilities.pixels == .tight ? 64 : nil
    var taken = dirty.takeRectangles(in: region).flatMap { rectangle in
      rectangle.parts(
        width: side ?? rectangle.width,
        height: side ?? max(Self.partPixels / max(rectangle.width, 1), 1))
    }
    if taken.count > Self.partLimit {
      for rectangle in taken[Self.partLimit...] { dirty.insert(rectangle) }
      taken.removeSubrange(Self.partLimit...)
    }
    guard !taken.isEmpty || !news.isEmpty || !copies.isEmpty else { return }
    beginMessage(rectangleCount: news.count + copies.count + taken.count)
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
    let nothing = Rectangle(x: 0, y: 0, width: 0, height: 0)
    if announcesScanCodes { news.append(Self.header(nothing, .extendedKeyEvent)) }
    if announcesLights, abilities.hasLights {
      news.append(Self.header(nothing, .lightState) + [lights])
    }
    if refusesSize { news += sizeRectangles(status: 1) }
    announcesScanCodes = false
    announcesLights = false
    refusesSize = false
    return news
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
    output += Self.header(rectangle, abilities.pixels)
    switch abilities.pixels {
    case .zrle: ZRLEEncoder.encode(block, writer, &zrleStream, to: &output)
    case .tight: TightEncoder.encode(block, writer, &tightStream, to: &output)
    case .hextile: HextileEncoder.encode(block, writer, to: &output)
    default: writer.append(block, to: &output)
    }
  }

  private static func header(_ rectangle: Rectangle, _ encoding: RFBEncoding) -> [UInt8] {
    [rectangle.x, rectangle.y, rectangle.width, rectangle.height].flatMap {
      UInt16($0).bigEndianBytes
    } + UInt32(bitPattern: encoding.rawValue).bigEndianBytes
  }
}
