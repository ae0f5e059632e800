/// Which tiles of a picture changed: a bit for each 64 by 16 pixels.
///
/// The width of a tile is a short memory comparison, its height one line of text.
struct TileSet: Equatable, Sendable {
  static let tileWidth = 64
  static let tileHeight = 16

  /// Of the picture, in pixels.
  let width: Int
  let height: Int
  let columns: Int
  let rows: Int
  private let wordsPerRow: Int
  private var words: [UInt64]

  /// No tile of a picture.
  init(width: Int, height: Int) {
    self.width = width
    self.height = height
    columns = (width + Self.tileWidth - 1) / Self.tileWidth
    rows = (height + Self.tileHeight - 1) / Self.tileHeight
    wordsPerRow = (columns + 63) / 64
    words = [UInt64](repeating: 0, count: rows * wordsPerRow)
  }

  var isEmpty: Bool { words.allSatisfy { $0 == 0 } }

  func contains(column: Int, row: Int) -> Bool {
    words[row * wordsPerRow + column / 64] >> UInt64(column % 64) & 1 != 0
  }

  mutating func insert(column: Int, row: Int) {
    words[row * wordsPerRow + column / 64] |= 1 << UInt64(column % 64)
  }

  private mutating func remove(column: Int, row: Int) {
    words[row * wordsPerRow + column / 64] &= ~(1 << UInt64(column % 64))
  }

  mutating func insertAll() {
    insert(Rectangle(x: 0, y: 0, width: width, height: height))
  }

  /// All tiles that a rectangle touches; what is outside of the picture is left out.
  mutating func insert(_ rectangle: Rectangle) {
    guard let tiles = tiles(of: rectangle) else { return }
    for row in tiles.rows {
      for column in tiles.columns { insert(column: column, row: row) }
    }
  }

  /// Adds the tiles of another picture that this has too.
  mutating func formUnion(_ other: TileSet) {
    if other.width == width, other.height == height {
      for index in words.indices { words[index] |= other.words[index] }
      return
    }
    for row in 0..<min(rows, other.rows) {
      for column in 0..<min(columns, other.columns)
      where other.contains(column: column, row: row) {
        insert(column: column, row: row)
      }
    }
  }

  /// Whether one of its tiles is touched by a rectangle.
  func intersects(_ rectangle: Rectangle) -> Bool {
    guard let tiles = tiles(of: rectangle) else { return false }
    return tiles.rows.contains { row in
      tiles.columns.contains { contains(column: $0, row: row) }
    }
  }

  /// Takes out the tiles that a rectangle touches, as rectangles: stretches of a row, with the same
  /// stretch of the rows below.
  mutating func takeRectangles(in region: Rectangle) -> [Rectangle] {
    guard let tiles = tiles(of: region) else { return [] }
    var rectangles: [Rectangle] = []
    for row in tiles.rows {
      var column = tiles.columns.lowerBound
      while column < tiles.columns.upperBound {
        guard contains(column: column, row: row) else {
          column += 1
          continue
        }
        var end = column + 1
        while end < tiles.columns.upperBound, contains(column: end, row: row) { end += 1 }
        var bottom = row
        repeat {
          for taken in column..<end { remove(column: taken, row: bottom) }
          bottom += 1
        } while bottom < tiles.rows.upperBound
          && hasStretch(column..<end, row: bottom, tiles.columns)
        rectangles.append(rectangle(columns: column..<end, rows: row..<bottom))
        column = end
      }
    }
    return rectangles
  }

  /// Whether a row has a stretch of tiles that begins and ends there.
  private func hasStretch(_ stretch: Range<Int>, row: Int, _ columns: Range<Int>) -> Bool {
    stretch.allSatisfy { contains(column: $0, row: row) }
      && (stretch.lowerBound == columns.lowerBound
        || !contains(column: stretch.lowerBound - 1, row: row))
      && (stretch.upperBound == columns.upperBound
        || !contains(column: stretch.upperBound, row: row))
  }

  private func rectangle(columns: Range<Int>, rows: Range<Int>) -> Rectangle {
    Rectangle(
      x: columns.lowerBound * Self.tileWidth, y: rows.lowerBound * Self.tileHeight,
      width: columns.count * Self.tileWidth, height: rows.count * Self.tileHeight
    ).intersection(Rectangle(x: 0, y: 0, width: width, height: height))
  }

  private func tiles(of rectangle: Rectangle) -> (columns: Range<Int>, rows: Range<Int>)? {
    let inside = rectangle.intersection(Rectangle(x: 0, y: 0, width: width, height: height))
    guard !inside.isEmpty else { return nil }
    return (
      inside.x / Self.tileWidth..<(inside.x + inside.width - 1) / Self.tileWidth + 1,
      inside.y / Self.tileHeight..<(inside.y + inside.height - 1) / Self.tileHeight + 1
    )
  }
}
