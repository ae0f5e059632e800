internal import DeviceKit
internal import Glibc

/// What viewers see: a copy of what the display shows, so that only what really changed goes out.
///
/// A guest that writes the same bytes again, as redrawing consoles do, changes nothing.
public struct SharedPicture: Sendable {
  /// The longest side that goes out; more of a wider picture is not shown. RFB has 16 bits.
  static let longestSide = 65_535

  public private(set) var width: Int
  public private(set) var height: Int
  /// 0xXXRRGGBB, line by line.
  private var pixels: [UInt32]
  /// Of each line's pixels, once it was asked for: `ScrollFinder.hash`.
  private var hashes: [UInt64?]
  /// As last looked at; nil for a display that is off.
  private var mode: DisplayMode?

  /// A black picture.
  public init(width: Int, height: Int) {
    self.width = width
    self.height = height
    pixels = [UInt32](repeating: 0, count: width * height)
    hashes = Array(repeating: nil, count: height)
  }

  /// What a look at the display found.
  enum Change: Equatable {
    case none
    /// These tiles.
    case tiles(TileSet)
    /// A part moved; then these tiles changed.
    case moved(CopiedRectangle, TileSet)
    /// All, as the size did.
    case size
  }

  /// Looks at what was written since the last time.
  ///
  /// - Parameter looksAtAll: as if all had been written.
  mutating func refresh(from source: any PictureSource, looksAtAll: Bool = false) -> Change {
    // Before the mode: what is written later is in the next log.
    let written = source.takeWrittenPages()
    guard let mode = source.mode else { return turnOff(source) }
    let isNew = mode != self.mode
    self.mode = mode
    let (width, height) = (min(mode.width, Self.longestSide), min(mode.height, Self.longestSide))
    if width != self.width || height != self.height {
      self = SharedPicture(width: width, height: height)
      self.mode = mode
      _ = copyChanges(from: source, mode) { _ in true }
      return .size
    }
    if !isNew, !looksAtAll, written.allSatisfy({ $0 == 0 }) { return .none }
    var looked = (0..<height).map {
      isNew || looksAtAll || Self.isWritten($0, of: mode, written)
    }
    let moved = isNew || looksAtAll ? nil : findMove(in: source, mode, looked)
    if let moved {
      move(moved)
      // All of it is compared: the finder may be wrong.
      for line in moved.rectangle.y..<(moved.rectangle.y + moved.rectangle.height) {
        looked[line] = true
      }
    }
    let tiles = copyChanges(from: source, mode) { looked[$0] }
    return moved.map { .moved($0, tiles) } ?? (tiles.isEmpty ? .none : .tiles(tiles))
  }

  // MARK: Scrolling

  private mutating func findMove(
    in source: any PictureSource, _ mode: DisplayMode, _ looked: [Bool]
  ) -> CopiedRectangle? {
    guard changesEnoughToMove(source, mode, looked) else { return nil }
    let old = (0..<height).map { hash(ofLine: $0) }
    var new = old
    for line in 0..<height where looked[line] {
      source.withLine(line, of: mode) { new[line] = ScrollFinder.hash($0) }
    }
    guard let (lines, distance) = ScrollFinder.find(old: old, new: new) else { return nil }
    return CopiedRectangle(
      rectangle: Rectangle(x: 0, y: lines.lowerBound, width: width, height: lines.count),
      sourceX: 0, sourceY: lines.lowerBound + distance)
  }

  /// Whether a copy could spare so much that it is worth a search: a block that moves, or a
  /// pointer, changes little of its lines. Looks at some lines only.
  private func changesEnoughToMove(
    _ source: any PictureSource, _ mode: DisplayMode, _ looked: [Bool]
  ) -> Bool {
    let lines = (0..<height).filter { looked[$0] }
    guard lines.count >= ScrollFinder.leastChanged else { return false }
    let samples = stride(from: 0, to: lines.count, by: Self.sampledLine).map { lines[$0] }
    var pixelCount = 0
    for line in samples {
      source.withLine(line, of: mode) { pixelCount += changedPixelCount(line, in: $0) }
    }
    return pixelCount * lines.count / samples.count >= width * height / Self.leastMovedPart
  }

  /// The pixels of the parts of a line that differ from the copy.
  private func changedPixelCount(_ line: Int, in bytes: RawSpan) -> Int {
    let width = self.width
    precondition(bytes.byteCount >= 4 * width, "line of \(bytes.byteCount) bytes")
    // SAFETY: the source has the line for the call, as long as was checked; the copy has `width`
    // pixels from `line * width` on. Neither pointer leaves the closures.
    return unsafe bytes.withUnsafeBytes { source in
      unsafe pixels.withUnsafeBytes { copy in
        guard let source = source.baseAddress,
          let copy = unsafe copy.baseAddress?.advanced(by: 4 * line * width)
        else { return 0 }
        return stride(from: 0, to: width, by: Self.comparedWidth).reduce(0) { sum, start in
          let count = min(Self.comparedWidth, width - start)
          return unsafe memcmp(source + 4 * start, copy + 4 * start, 4 * count) == 0
            ? sum : sum + count
        }
      }
    }
  }

  private mutating func hash(ofLine line: Int) -> UInt64 {
    let hash = hashes[line] ?? computeHash(ofLine: line)
    hashes[line] = hash
    return hash
  }

  private func computeHash(ofLine line: Int) -> UInt64 {
    // SAFETY: an integer has no padding.
    let bytes = unsafe pixels.span.bytes
    return ScrollFinder.hash(
      bytes.extracting((4 * line * width)..<(4 * (line + 1) * width)))
  }

  private mutating func move(_ moved: CopiedRectangle) {
    let start = moved.rectangle.y * width
    let source = moved.sourceY * width
    let count = moved.rectangle.height * width
    precondition(max(start, source) + count <= pixels.count, "\(moved) is not in the picture")
    // SAFETY: both parts are in the copy, as was checked; memmove takes parts that overlap. With an
    // array on the way the kernel would give as many new pages each time.
    unsafe pixels.withUnsafeMutableBytes { bytes in
      guard let pixels = bytes.baseAddress else { return }
      _ = unsafe memmove(pixels + 4 * start, pixels + 4 * source, 4 * count)
    }
    let lines = moved.rectangle.y..<(moved.rectangle.y + moved.rectangle.height)
    let known = Array(hashes[moved.sourceY..<(moved.sourceY + lines.count)])
    hashes.replaceSubrange(lines, with: known)
  }

  /// Black, in the size it had. One that was never on has the size that it asks for.
  private mutating func turnOff(_ source: any PictureSource) -> Change {
    guard mode != nil else {
      let (width, height) = source.preferredSize
      guard width != self.width || height != self.height else { return .none }
      self = SharedPicture(width: width, height: height)
      return .size
    }
    self = SharedPicture(width: width, height: height)
    var tiles = TileSet(width: width, height: height)
    tiles.insertAll()
    return .tiles(tiles)
  }

  private static func isWritten(_ line: Int, of mode: DisplayMode, _ pages: [UInt64]) -> Bool {
    let start = mode.offset + line * mode.lineByteCount
    let first = start / 4096
    let last = (start + 4 * mode.width - 1) / 4096
    return (first...last).contains { page in
      page / 64 < pages.count && pages[page / 64] >> UInt64(page % 64) & 1 != 0
    }
  }

  private mutating func copyChanges(
    from source: any PictureSource, _ mode: DisplayMode, _ isLookedAt: (Int) -> Bool
  ) -> TileSet {
    var changed = TileSet(width: width, height: height)
    for line in 0..<height where isLookedAt(line) {
      source.withLine(line, of: mode) { copy(line, from: $0, &changed) }
    }
    return changed
  }

  /// One changed line in as many is asked how much of it changed.
  private static let sampledLine = 8
  /// Less than this part of the picture is sent as it is, whether it moved or not.
  private static let leastMovedPart = 32
  /// What is compared at a time: most of a line has not changed.
  private static let comparedWidth = 64

  /// Compares a line with the copy, and copies the tiles' parts that differ.
  private mutating func copy(_ line: Int, from bytes: RawSpan, _ changed: inout TileSet) {
    let width = self.width
    precondition(bytes.byteCount >= 4 * width, "line of \(bytes.byteCount) bytes")
    // SAFETY: the source has the line for the call, as long as was checked; the copy has `width`
    // pixels from `line * width` on. Neither pointer leaves the closures.
    unsafe bytes.withUnsafeBytes { source in
      unsafe pixels.withUnsafeMutableBytes { copy in
        guard let source = source.baseAddress,
          let copy = unsafe copy.baseAddress?.advanced(by: 4 * line * width)
        else { return }
        for start in stride(from: 0, to: width, by: Self.comparedWidth) {
          let end = min(start + Self.comparedWidth, width)
          guard unsafe memcmp(source + 4 * start, copy + 4 * start, 4 * (end - start)) != 0
          else { continue }
          hashes[line] = nil
          for x in stride(from: start, to: end, by: TileSet.tileSide) {
            let (from, to) = unsafe (source + 4 * x, copy + 4 * x)
            let count = 4 * min(TileSet.tileSide, end - x)
            guard unsafe memcmp(from, to, count) != 0 else { continue }
            unsafe memcpy(to, from, count)
            changed.insert(column: x / TileSet.tileSide, line: line)
          }
        }
      }
    }
  }

  /// A rectangle's pixels; what is outside of the picture is black.
  func block(_ rectangle: Rectangle) -> PixelBlock {
    var block: [UInt32] = []
    block.reserveCapacity(rectangle.width * rectangle.height)
    let inside = rectangle.intersection(Rectangle(x: 0, y: 0, width: width, height: height))
    for y in rectangle.y..<(rectangle.y + rectangle.height) {
      let copied = y < height ? inside.width : 0
      if copied > 0 {
        let start = y * width + rectangle.x
        for pixel in pixels[start..<(start + copied)] { block.append(pixel & 0xFF_FFFF) }
      }
      block.append(contentsOf: repeatElement(0, count: rectangle.width - copied))
    }
    return PixelBlock(width: rectangle.width, height: rectangle.height, pixels: block)
  }
}
