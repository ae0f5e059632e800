/// Rows of text in aligned columns, two spaces apart, for a terminal.
struct TextTable {
  enum Alignment: Sendable {
    case left
    case right
  }

  private static let gap = 2
  private let alignments: [Alignment]
  private var rows: [[String]] = []

  init(_ alignments: [Alignment]) {
    self.alignments = alignments
  }

  /// Cells that are left out at the end of a row are empty.
  mutating func add(_ cells: String...) { add(cells) }

  mutating func add(_ cells: [String]) {
    precondition(cells.count <= alignments.count, "\(cells.count) cells in a row of \(alignments)")
    rows.append(cells)
  }

  /// A line of dashes across each column, at the width the column turns out to have.
  mutating func addRule() {
    rows.append([])
  }

  /// Each line is indented by `indent` and has no trailing spaces.
  func text(indent: Int = 2) -> String {
    let widths = alignments.indices.map { column in
      rows.map { $0.indices.contains(column) ? $0[column].count : 0 }.max() ?? 0
    }
    return rows.map { row in
      var line = String(repeating: " ", count: indent)
      for (column, width) in widths.enumerated() {
        if column > 0 { line += String(repeating: " ", count: Self.gap) }
        let cell = row.indices.contains(column) ? row[column] : ""
        let rest = width - cell.count
        if row.isEmpty {
          line += String(repeating: "-", count: width)
        } else if alignments[column] == .left {
          line += cell + String(repeating: " ", count: rest)
        } else {
          line += String(repeating: " ", count: rest) + cell
        }
      }
      while line.last == " " { line.removeLast() }
      return line + "\n"
    }.joined()
  }
}
