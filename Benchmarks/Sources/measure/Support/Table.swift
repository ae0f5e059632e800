/// Rows of text under a heading, in columns as wide as needed; the first column is left-aligned.
/// Printed as Markdown, so that a document can take it as it is.
struct Table {
  private var rows: [[String]]

  init(_ heading: [String]) {
    rows = [heading]
  }

  mutating func add(_ row: [String]) {
    precondition(row.count == rows[0].count, "\(row.count) cells in \(rows[0].count) columns")
    rows.append(row)
  }

  func print() {
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    for (number, row) in rows.enumerated() {
      let cells = row.indices.map { column in
        let padding = String(repeating: " ", count: widths[column] - row[column].count)
        return column == 0 ? row[column] + padding : padding + row[column]
      }
      Swift.print("| " + cells.joined(separator: " | ") + " |")
      guard number == 0 else { continue }
      let rules = widths.indices.map { column in
        String(repeating: "-", count: column == 0 ? widths[0] : widths[column] - 1)
          + (column == 0 ? "" : ":")
      }
      Swift.print("| " + rules.joined(separator: " | ") + " |")
    }
    Swift.print()
  }
}
