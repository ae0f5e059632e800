/// Which parts of a picture changed: tiles of 16 by 16 pixels, and in each of them bands of two
/// lines.
///
/// A rectangle costs a viewer twelve bytes before its first pixel, so that what lies between two
/// changed bands of a tile goes out with them.
struct TileSet: Equatable, Sendable {
  static let tileSide = 16
  static let bandHeight = 2
  private static let bandCount = tileSide / bandHeight
  /// All bands of a tile.
  private static let wholeTile = UInt8.max >> (8 - bandCount)

  /// Of the picture, in pixels.
  let width: Int
  let height: Int
  private let columns: Int
  private let rows: Int
  /// A bit for each band, the uppermost in bit 0; row by row.
  private var tiles: [UInt8]
  /// Changed tiles of each row: most rows have none.
  private var tileCounts: [Int]

  /// No tile of a picture.
  init(width: Int, height: Int) {
    self.width = width
    self.height = height
    columns = (width + Self.tileSide - 1) / Self.tileSide
    rows = (height + Self.tileSide - 1) / Self.tileSide
    tiles = [UInt8](repeating: 0, count: columns * rows)
    tileCounts = [Int](repeating: 0, count: rows)
  }

  var isEmpty: Bool { tileCounts.allSatisfy { $0 == 0 } }

  /// Adds the tile's part of a line, with its band.
  mutating func insert(column: Int, line: Int) {
    let band = UInt8(1) << UInt8(line % Self.tileSide / Self.bandHeight)
    insert(band, column: column, row: line / Self.tileSide)
  }

  private mutating func insert(_ bands: UInt8, column: Int, row: Int) {
    guard bands != 0 else { return }
    let index = row * columns + column
    if tiles[index] == 0 { tileCounts[row] += 1 }
    tiles[index] |= bands
  }

  private mutating func remove(column: Int, row: Int) {
    let index = row * columns + column
    if tiles[index] != 0 { tileCounts[row] -= 1 }
    tiles[index] = 0
  }

  mutating func insertAll() {
    tiles = [UInt8](repeating: Self.wholeTile, count: tiles.count)
    tileCounts = [Int](repeating: columns, count: rows)
  }

  /// All that a rectangle touches; what is outside of the picture is left out.
  mutating func insert(_ rectangle: Rectangle) {
    guard let touched = tiles(of: rectangle) else { return }
    for row in touched.rows {
      let bands = Self.bands(of: rectangle, row: row)
      for column in touched.columns { insert(bands, column: column, row: row) }
    }
  }

  /// Adds what another picture has and this one has, too.
  mutating func formUnion(_ other: TileSet) {
    for row in 0..<min(rows, other.rows) where other.tileCounts[row] > 0 {
      for column in 0..<min(columns, other.columns) {
        insert(other.tiles[row * other.columns + column], column: column, row: row)
      }
    }
  }

  /// Whether a rectangle touches what changed.
  func intersects(_ rectangle: Rectangle) -> Bool {
    guard let touched = tiles(of: rectangle) else { return false }
    return touched.rows.contains { row in
      let bands = Self.bands(of: rectangle, row: row)
      return tileCounts[row] > 0
        && touched.columns.contains { tiles[row * columns + $0] & bands != 0 }
    }
  }

  /// Takes out the tiles that a rectangle touches, as rectangles: neighbours whose changes begin
  /// and end at the same lines, with the same stretch of the rows below if it goes on there.
  mutating func takeRectangles(in region: Rectangle) -> [Rectangle] {
    guard let touched = tiles(of: region) else { return [] }
    var rectangles: [Rectangle] = []
    for row in touched.rows where tileCounts[row] > 0 {
      var column = touched.columns.lowerBound
      while column < touched.columns.upperBound {
        guard let bands = bands(column: column, row: row) else {
          column += 1
          continue
        }
        let stretch = column..<endOfStretch(from: column, bands, row: row, touched.columns)
        var bottom = row
        var last = bands
        remove(stretch, row: row)
        while last.upperBound == Self.bandCount, bottom + 1 < touched.rows.upperBound,
          let next = continuation(of: stretch, row: bottom + 1, touched.columns)
        {
          bottom += 1
          last = next
          remove(stretch, row: bottom)
        }
        let top = row * Self.tileSide + bands.lowerBound * Self.bandHeight
        let end = bottom * Self.tileSide + last.upperBound * Self.bandHeight
        rectangles.append(
          Rectangle(
            x: stretch.lowerBound * Self.tileSide, y: top,
            width: stretch.count * Self.tileSide, height: end - top
          ).intersection(Rectangle(x: 0, y: 0, width: width, height: height)))
        column = stretch.upperBound
      }
    }
    return rectangles
  }

  // MARK: Stretches

  /// From a tile's first band that changed to its last; nil if none did.
  private func bands(column: Int, row: Int) -> Range<Int>? {
    let bands = tiles[row * columns + column]
    return bands == 0 ? nil : bands.trailingZeroBitCount..<(8 - bands.leadingZeroBitCount)
  }

  private func endOfStretch(
    from column: Int, _ bands: Range<Int>, row: Int, _ columns: Range<Int>
  ) -> Int {
    var end = column + 1
    while end < columns.upperBound, self.bands(column: end, row: row) == bands { end += 1 }
    return end
  }

  /// The bands of a row that has the same stretch from its first line on.
  private func continuation(
    of stretch: Range<Int>, row: Int, _ columns: Range<Int>
  ) -> Range<Int>? {
    guard let bands = bands(column: stretch.lowerBound, row: row), bands.lowerBound == 0,
      endOfStretch(from: stretch.lowerBound, bands, row: row, columns) == stretch.upperBound,
      stretch.lowerBound == columns.lowerBound
        || self.bands(column: stretch.lowerBound - 1, row: row) != bands
    else { return nil }
    return bands
  }

  private mutating func remove(_ stretch: Range<Int>, row: Int) {
    for column in stretch { remove(column: column, row: row) }
  }

  // MARK: Rectangles

  /// The bands of a row of tiles that a rectangle touches.
  private static func bands(of rectangle: Rectangle, row: Int) -> UInt8 {
    let top = max(rectangle.y - row * tileSide, 0)
    let end = min(rectangle.y + rectangle.height - row * tileSide, tileSide)
    guard top < end else { return 0 }
    let below = UInt8(truncatingIfNeeded: 1 << ((end - 1) / bandHeight + 1) - 1)
    let above = UInt8(truncatingIfNeeded: 1 << (top / bandHeight) - 1)
    return below & ~above
  }

  private func tiles(of rectangle: Rectangle) -> (columns: Range<Int>, rows: Range<Int>)? {
    let inside = rectangle.intersection(Rectangle(x: 0, y: 0, width: width, height: height))
    guard !inside.isEmpty else { return nil }
    return (
      inside.x / Self.tileSide..<(inside.x + inside.width - 1) / Self.tileSide + 1,
      inside.y / Self.tileSide..<(inside.y + inside.height - 1) / Self.tileSide + 1
    )
  }
}
