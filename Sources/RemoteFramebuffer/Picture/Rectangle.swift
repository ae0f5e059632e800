/// A part of a picture, in pixels.
struct Rectangle: Hashable, Sendable {
  var x: Int
  var y: Int
  var width: Int
  var height: Int

  var isEmpty: Bool { width <= 0 || height <= 0 }

  /// What both have; empty if that is nothing.
  func intersection(_ other: Rectangle) -> Rectangle {
    let left = max(x, other.x)
    let top = max(y, other.y)
    return Rectangle(
      x: left, y: top, width: max(min(x + width, other.x + other.width) - left, 0),
      height: max(min(y + height, other.y + other.height) - top, 0))
  }

  /// The smallest that has both.
  func enclosing(_ other: Rectangle) -> Rectangle {
    let left = min(x, other.x)
    let top = min(y, other.y)
    return Rectangle(
      x: left, y: top, width: max(x + width, other.x + other.width) - left,
      height: max(y + height, other.y + other.height) - top)
  }

  /// Parts of at most `largest` size that make it up, from the left and then down.
  func parts(width largestWidth: Int, height largestHeight: Int) -> [Rectangle] {
    stride(from: 0, to: height, by: largestHeight).flatMap { top in
      stride(from: 0, to: width, by: largestWidth).map { left in
        Rectangle(
          x: x + left, y: y + top, width: min(largestWidth, width - left),
          height: min(largestHeight, height - top))
      }
    }
  }
}
