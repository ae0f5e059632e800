import TestSupport
import Testing

@testable import RemoteFramebuffer

@Suite struct TileSetTests {
  private func set(_ changes: [(column: Int, line: Int)], width: Int, height: Int) -> TileSet {
    var set = TileSet(width: width, height: height)
    for change in changes { set.insert(column: change.column, line: change.line) }
    return set
  }

  private func whole(_ set: TileSet) -> Rectangle {
    Rectangle(x: 0, y: 0, width: set.width, height: set.height)
  }

  @Test("an edge of a block is a thin rectangle; neighbours that agree are one")
  func edges() {
    var top = set((2...5).map { ($0, 37) }, width: 200, height: 100)
    #expect(
      top.takeRectangles(in: whole(top)) == [Rectangle(x: 32, y: 36, width: 64, height: 2)])
    #expect(top.isEmpty)
    // From the middle of one tile into the third, with what is between.
    var side = set((25...70).map { (1, $0) }, width: 200, height: 100)
    #expect(
      side.takeRectangles(in: whole(side)) == [Rectangle(x: 16, y: 24, width: 16, height: 48)])
    #expect(side.isEmpty)
  }

  @Test("what lies between two bands of a tile goes with them")
  func between() {
    var tiles = set([(0, 0), (0, 15)], width: 20, height: 20)
    #expect(
      tiles.takeRectangles(in: whole(tiles)) == [Rectangle(x: 0, y: 0, width: 16, height: 16)])
  }

  @Test("rectangles end where the picture ends")
  func ends() {
    var tiles = TileSet(width: 37, height: 21)
    tiles.insertAll()
    #expect(
      tiles.takeRectangles(in: whole(tiles)) == [Rectangle(x: 0, y: 0, width: 37, height: 21)])
    tiles.insert(Rectangle(x: 36, y: 20, width: 100, height: 100))
    #expect(
      tiles.takeRectangles(in: whole(tiles)) == [Rectangle(x: 32, y: 20, width: 5, height: 1)])
    tiles.insert(Rectangle(x: 37, y: 0, width: 1, height: 1))
    #expect(tiles.isEmpty)
  }

  @Test("seeded: every pixel that changed is in one rectangle, and no tile is that did not")
  func seeded() {
    var generator = SeededGenerator(seed: 15)
    for round in 0..<200 {
      let (width, height) = (
        Int.random(in: 1...150, using: &generator), Int.random(in: 1...120, using: &generator)
      )
      var changed = [Bool](repeating: false, count: width * height)
      var sets = [TileSet(width: width, height: height), TileSet(width: width, height: height)]
      for _ in 0..<Int.random(in: 0...30, using: &generator) {
        let part = Rectangle(
          x: Int.random(in: 0..<width, using: &generator),
          y: Int.random(in: 0..<height, using: &generator),
          width: Int.random(in: 1...40, using: &generator),
          height: Int.random(in: 1...40, using: &generator)
        ).intersection(Rectangle(x: 0, y: 0, width: width, height: height))
        sets[Int.random(in: 0...1, using: &generator)].insert(part)
        for y in part.y..<(part.y + part.height) {
          for x in part.x..<(part.x + part.width) { changed[y * width + x] = true }
        }
      }
      var tiles = sets[0]
      tiles.formUnion(sets[1])
      var taken = [Int](repeating: 0, count: width * height)
      // In two parts, as viewers may ask for them: what the second has is what the first left.
      let first = Rectangle(x: 0, y: 0, width: (width + 1) / 2, height: height)
      for rectangle in tiles.takeRectangles(in: first) + tiles.takeRectangles(in: whole(tiles)) {
        for y in rectangle.y..<(rectangle.y + rectangle.height) {
          for x in rectangle.x..<(rectangle.x + rectangle.width) { taken[y * width + x] += 1 }
        }
      }
      #expect(tiles.isEmpty, "seed 15, round \(round)")
      #expect(taken.allSatisfy { $0 <= 1 }, "seed 15, round \(round)")
      #expect(
        changed.indices.allSatisfy { !changed[$0] || taken[$0] == 1 }, "seed 15, round \(round)")
      let isNear = taken.indices.allSatisfy { index in
        guard taken[index] == 1 else { return true }
        let (left, top) = (index % width / 16 * 16, index / width / 16 * 16)
        return (top..<min(top + 16, height)).contains { y in
          (left..<min(left + 16, width)).contains { changed[y * width + $0] }
        }
      }
      #expect(isNear, "seed 15, round \(round)")
    }
  }
}
