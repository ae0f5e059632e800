internal import MachineSpecification

/// Below the grid: the classes with their totals, and the largest memory that was not reported.
extension MemoryPictureSVG {
  private static let maximumTableRowCount = 12
  private static let tableRowHeight = 18.0
  /// Right of the legend's last column.
  private static let tableLeft = left + 440

  /// All but those that are no part of an ordinary picture and of this one neither.
  private var legendClasses: [MemoryClass] {
    MemoryClass.allCases.filter { $0 != .unknown || map.byteCount($0) > 0 }
  }

  var legendHeight: Double { Self.legendRowHeight * Double(legendClasses.count) }

  var legend: String {
    var lines: [String] = []
    let style = "font-size=\"13\""
    for (row, memoryClass) in legendClasses.enumerated() {
      let y = legendTop + Double(row) * Self.legendRowHeight
      let byteCount = map.byteCount(memoryClass)
      lines.append(
        rectangle(
          x: Self.left, y: y, width: 28, height: 16,
          "fill=\"url(#\(MemoryPicturePattern.identifier(memoryClass)))\" stroke=\"#9aa5b1\" "
            + "stroke-width=\"0.6\""))
      lines.append(textElement(memoryClass.title, x: Self.left + 40, y: y + 12.5, style))
      lines.append(
        textElement(
          byteCount == 0 ? "none" : ByteCount(byteCount).description, x: Self.left + 290,
          y: y + 12.5, style + " text-anchor=\"end\""))
      if memoryClass != .notRAM, map.memoryByteCount > 0 {
        lines.append(
          textElement(
            DecimalText.percent(byteCount, of: map.memoryByteCount), x: Self.left + 360,
            y: y + 12.5, style + " fill=\"#52606d\" text-anchor=\"end\""))
      }
    }
    return lines.joined(separator: "\n")
  }

  /// The largest first, equal ones by address.
  private var tableRows: [UnreportedRange] {
    let ranges = explanation?.unreported ?? []
    return Array(
      ranges.sorted { ($1.pageCount, $0.startPage) < ($0.pageCount, $1.startPage) }
        .prefix(Self.maximumTableRowCount))
  }

  private var omittedCount: UInt64 {
    guard let explanation else { return 0 }
    return UInt64(explanation.unreported.count - tableRows.count) + explanation.omittedCount
  }

  /// The heading, the rows, and a line for what is left out.
  var explanationHeight: Double {
    explanation == nil
      ? 0 : Self.tableRowHeight * Double(1 + tableRows.count + (omittedCount > 0 ? 1 : 0))
  }

  /// Empty without an explanation.
  var explanationTable: String {
    guard explanation != nil else { return "" }
    let style = "font-size=\"12\""
    let quiet = "font-size=\"11\" fill=\"#7b8794\""
    let heading =
      tableRows.isEmpty ? "all memory was reported" : "largest memory not reported, from address"
    var lines = [textElement(heading, x: Self.tableLeft, y: legendTop + 11, quiet)]
    var y = legendTop + 11
    for range in tableRows {
      y += Self.tableRowHeight
      let address = "0x" + String(range.startPage * 4096, radix: 16)
      lines.append(textElement(address, x: Self.tableLeft, y: y, style))
      lines.append(
        textElement(
          ByteCount(range.byteCount).description, x: Self.tableLeft + 200, y: y,
          style + " text-anchor=\"end\""))
      lines.append(textElement(range.reason.text, x: Self.tableLeft + 220, y: y, style))
    }
    if omittedCount > 0 {
      let text = "and \(DecimalText.grouped(omittedCount)) more, none of them larger"
      lines.append(textElement(text, x: Self.tableLeft, y: y + Self.tableRowHeight, quiet))
    }
    return "\n" + lines.joined(separator: "\n")
  }
}
