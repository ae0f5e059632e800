internal import MachineSpecification

/// Draws a `MemoryPicture` as an SVG image: rows of cells with the addresses beside them, and a
/// legend with the total of each class, beside it the largest memory that was not reported, and
/// why.
///
/// Each class has a colour of its own brightness and a pattern of its own, so that the picture can
/// be read by the colour-blind and on paper. A mixed cell is split by its shares, but even a single
/// page is at least `leastPartWidth` wide: what is not zero must not disappear.
struct MemoryPictureSVG: SVGPicture {
  private static let columnCount = 64
  private static let cellWidth = 14.0
  private static let leastPartWidth = 3.0
  static let left = 104.0
  private static let top = 100.0
  static let margin = 32.0
  static let legendRowHeight = 24.0

  let map: MemoryPicture
  private let title: String
  private let subtitle: String
  let explanation: MemoryExplanation?

  /// Both texts may hold any characters; they are escaped.
  init(
    _ map: MemoryPicture, title: String, subtitle: String, explanation: MemoryExplanation? = nil
  ) {
    self.explanation = explanation
    self.map = map
    self.title = title
    self.subtitle = subtitle
  }

  private var rowCount: Int { (map.cells.count + Self.columnCount - 1) / Self.columnCount }
  /// Few rows are drawn taller, so that a small guest does not look like a stripe.
  private var cellHeight: Double { max(9, min(24, 288 / Double(rowCount))) }
  private var gridWidth: Double { Self.cellWidth * Double(Self.columnCount) }
  private var gridHeight: Double { cellHeight * Double(rowCount) }
  private var width: Double { Self.left + gridWidth + Self.margin }
  var legendTop: Double { Self.top + gridHeight + 40 }
  private var height: Double {
    legendTop + max(legendHeight, explanationHeight) + Self.margin - 8
  }

  /// The whole document.
  var text: String {
    let size = "width=\"\(number(width))\" height=\"\(number(height))\""
    return """
      <?xml version="1.0" encoding="UTF-8"?>
      <svg xmlns="http://www.w3.org/2000/svg" \(size) \
      viewBox="0 0 \(number(width)) \(number(height))" \
      font-family="Helvetica, Arial, sans-serif" fill="#1f2933">
      <title>\(XMLText.escaped(title))</title>
      <defs>
      \(MemoryClass.allCases.map(MemoryPicturePattern.definition).joined(separator: "\n"))
      </defs>
      <rect width="100%" height="100%" fill="#ffffff"/>
      <text x="\(number(Self.margin))" y="40" font-size="20" font-weight="600">\
      \(XMLText.escaped(title))</text>
      <text x="\(number(Self.margin))" y="64" font-size="13" fill="#52606d">\
      \(XMLText.escaped(subtitle))</text>
      \(axis)
      \(grid)
      \(legend)\(explanationTable)
      </svg>

      """
  }

  /// Addresses at the starts of as many rows as leave room for the text, and at the end.
  private var axis: String {
    let captionStyle = "font-size=\"11\" fill=\"#7b8794\""
    let labelStyle = "font-size=\"11\" fill=\"#52606d\" text-anchor=\"end\""
    let bytesPerRow = map.bytesPerCell * UInt64(Self.columnCount)
    let scale = "1 cell = \(ByteCount(map.bytesPerCell)), 1 row = \(ByteCount(bytesPerRow))"
    let captionY = Self.top - 14
    var lines = [
      textElement("guest physical address", x: Self.margin, y: captionY, captionStyle),
      textElement(
        scale, x: Self.left + gridWidth, y: captionY, captionStyle + " text-anchor=\"end\""),
    ]
    var step = 1
    while rowCount / step > 16 { step *= 2 }
    // A row too close above the end gives way to it.
    let rows = stride(from: 0, to: rowCount, by: step).filter { rowCount - $0 >= step }
    for row in rows + [rowCount] {
      let y = Self.top + Double(row) * cellHeight
      let address = min(UInt64(row) * bytesPerRow, map.bytesPerCell * UInt64(map.cells.count))
      let label = address == 0 ? "0" : ByteCount(address).description
      lines.append(textElement(label, x: Self.left - 12, y: y + 4, labelStyle))
      lines.append(
        rectangle(x: Self.left - 8, y: y - 0.5, width: 6, height: 1, "fill=\"#9aa5b1\""))
    }
    return lines.joined(separator: "\n")
  }

  /// Parts first, joined into one rectangle while the class stays the same along a row; then a thin
  /// white line around every cell.
  private var grid: String {
    var lines: [String] = []
    for row in 0..<rowCount {
      let first = row * Self.columnCount
      let cells = map.cells[first..<min(first + Self.columnCount, map.cells.count)]
      let y = Self.top + Double(row) * cellHeight
      for part in parts(of: cells) {
        lines.append(
          rectangle(
            x: Self.left + part.start, y: y, width: part.width, height: cellHeight,
            "fill=\"url(#\(MemoryPicturePattern.identifier(part.memoryClass)))\""))
      }
      let rowWidth = Double(cells.count) * Self.cellWidth
      lines.append(gridLines(y: y, width: rowWidth))
    }
    return lines.joined(separator: "\n")
  }

  private func gridLines(y: Double, width: Double) -> String {
    var path = "M\(number(Self.left)) \(number(y))h\(number(width))"
    path += "M\(number(Self.left)) \(number(y + cellHeight))h\(number(width))"
    var x = Self.left
    while x <= Self.left + width {
      path += "M\(number(x)) \(number(y))v\(number(cellHeight))"
      x += Self.cellWidth
    }
    return "<path d=\"\(path)\" stroke=\"#ffffff\" stroke-width=\"0.8\" fill=\"none\"/>"
  }

  private struct Part {
    let memoryClass: MemoryClass
    let start: Double
    var width: Double
  }

  private func parts(of cells: ArraySlice<MemoryPicture.Cell>) -> [Part] {
    var parts: [Part] = []
    for (column, cell) in cells.enumerated() {
      var x = Double(column) * Self.cellWidth
      for (memoryClass, width) in widths(of: cell) {
        if let last = parts.last, last.memoryClass == memoryClass {
          parts[parts.count - 1].width += width
        } else {
          parts.append(Part(memoryClass: memoryClass, start: x, width: width))
        }
        x += width
      }
    }
    return parts
  }

  /// The shares of a cell, small ones widened at the expense of the largest.
  private func widths(of cell: MemoryPicture.Cell) -> [(MemoryClass, Double)] {
    var widths = MemoryClass.allCases.filter { cell[$0] > 0 }.map { memoryClass in
      let share = Double(cell[memoryClass]) / Double(map.bytesPerCell)
      return (memoryClass, max(Self.leastPartWidth, share * Self.cellWidth))
    }
    let excess = widths.reduce(0) { $0 + $1.1 } - Self.cellWidth
    if let largest = widths.indices.max(by: { widths[$0].1 < widths[$1].1 }) {
      widths[largest].1 -= excess
      if widths[largest].1 < Self.leastPartWidth {
        // So many classes that the largest cannot pay for all: all are narrowed alike.
        widths[largest].1 += excess
        let scale = Self.cellWidth / (Self.cellWidth + excess)
        for index in widths.indices { widths[index].1 *= scale }
      }
    }
    return widths
  }
}

/// Elements of a picture.
protocol SVGPicture {}

extension SVGPicture {
  func rectangle(
    x: Double, y: Double, width: Double, height: Double, _ style: String
  ) -> String {
    "<rect x=\"\(number(x))\" y=\"\(number(y))\" width=\"\(number(width))\" "
      + "height=\"\(number(height))\" \(style)/>"
  }

  func textElement(_ text: String, x: Double, y: Double, _ style: String) -> String {
    "<text x=\"\(number(x))\" y=\"\(number(y))\" \(style)>\(XMLText.escaped(text))</text>"
  }

  func number(_ value: Double) -> String {
    value == value.rounded() ? "\(Int(value))" : DecimalText.fixed(value, decimals: 2)
  }
}

/// Text inside an XML element or attribute.
enum XMLText {
  /// Escapes what would be markup, and drops what XML 1.0 cannot hold at all (§2.2, Char).
  static func escaped(_ text: String) -> String {
    var escaped = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": escaped += "&amp;"
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      case "\"": escaped += "&quot;"
      case "\t", "\n", "\r", " "..."\u{D7FF}", "\u{E000}"..."\u{FFFD}", "\u{10000}"...:
        escaped.unicodeScalars.append(scalar)
      default: break
      }
    }
    return escaped
  }
}
