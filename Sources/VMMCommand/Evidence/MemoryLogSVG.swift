internal import MachineSpecification

/// How much of the host's memory runs had at each time, as a picture (SVG 1.1): a line for each,
/// from the start of its last machine on, with a mark at each answer to 0x8002.
struct MemoryLogSVG: SVGPicture {
  /// One line.
  struct Line {
    let name: String
    /// Time in seconds, ascending, and bytes.
    let points: [(time: Double, byteCount: UInt64)]
    /// When it was told what is zero.
    let answers: [Double]
  }

  private static let left = 90.0
  private static let top = 60.0
  private static let width = 720.0
  private static let height = 320.0
  private static let legendRowHeight = 22.0
  /// Told apart by people who see no red and green, too (Okabe and Ito), and by their dashes.
  private static let styles = [
    ("#0072b2", ""), ("#d55e00", "8 3"), ("#009e73", "2 3"), ("#cc79a7", "12 3 2 3"),
    ("#e69f00", "5 2 1 2"), ("#56b4e9", "1 2"),
  ]

  private let lines: [Line]
  private let endTime: Double
  private let timeStep: Double
  private let topByteCount: UInt64
  private let byteStep: UInt64

  init(_ lines: [Line]) {
    self.lines = lines
    let lastTime = lines.compactMap(\.points.last?.time).max() ?? 0
    timeStep = Self.step(over: max(lastTime, 1))
    endTime = max((lastTime / timeStep).rounded(.up), 1) * timeStep
    let most = lines.flatMap(\.points).map(\.byteCount).max() ?? 0
    var step: UInt64 = 1 << 20
    while most / step > 8, step < 1 << 60 { step *= 2 }
    byteStep = step
    topByteCount = (most / step + 1) * step
  }

  /// 1, 2 or 5 of a power of ten: at most ten parts.
  private static func step(over span: Double) -> Double {
    var power = 0.1
    while true {
      for factor in [1.0, 2, 5] where span / (power * factor) <= 10 { return power * factor }
      power *= 10
    }
  }

  var text: String {
    let height = Self.top + Self.height + 60 + Self.legendRowHeight * Double(lines.count)
    let width = Self.left + Self.width + 40
    return """
      <svg xmlns="http://www.w3.org/2000/svg" width="\(number(width))" height="\(number(height))" \
      font-family="sans-serif">
      <title>Resident memory over time</title>
      \(rectangle(x: 0, y: 0, width: width, height: height, "fill=\"#ffffff\""))
      \(textElement("Resident memory over time", x: Self.left, y: 30, "font-size=\"16\""))
      \(grid)
      \(lines.indices.map(curve).joined(separator: "\n"))
      \(lines.indices.map(legendRow).joined(separator: "\n"))
      </svg>

      """
  }

  private func x(_ time: Double) -> Double { Self.left + time / endTime * Self.width }

  private func y(_ byteCount: UInt64) -> Double {
    Self.top + (1 - Double(byteCount) / Double(topByteCount)) * Self.height
  }

  private var grid: String {
    let quiet = "font-size=\"11\" fill=\"#52606d\""
    var elements: [String] = []
    for bytes in stride(from: 0, through: topByteCount, by: Int(byteStep)) {
      elements.append(rule("M\(number(Self.left)) \(number(y(bytes)))h\(number(Self.width))"))
      elements.append(
        textElement(
          ByteCount(bytes).description, x: Self.left - 8, y: y(bytes) + 4,
          quiet + " text-anchor=\"end\""))
    }
    let bottom = Self.top + Self.height
    for part in 0...Int((endTime / timeStep).rounded()) {
      let time = Double(part) * timeStep
      elements.append(rule("M\(number(x(time))) \(number(Self.top))v\(number(Self.height))"))
      elements.append(
        textElement(
          number((time * 10).rounded() / 10), x: x(time), y: bottom + 16,
          quiet + " text-anchor=\"middle\""))
    }
    elements.append(
      textElement(
        "seconds", x: Self.left + Self.width, y: bottom + 34, quiet + " text-anchor=\"end\""))
    return elements.joined(separator: "\n")
  }

  private func rule(_ path: String) -> String {
    "<path d=\"\(path)\" stroke=\"#d9e0e7\" stroke-width=\"0.8\" fill=\"none\"/>"
  }

  private func style(_ index: Int) -> String {
    let (color, dashes) = Self.styles[index % Self.styles.count]
    let dash = dashes.isEmpty ? "" : " stroke-dasharray=\"\(dashes)\""
    return "stroke=\"\(color)\" stroke-width=\"1.8\" fill=\"none\"\(dash)"
  }

  private func curve(_ index: Int) -> String {
    let line = lines[index]
    let points = line.points.map { "\(number(x($0.time))),\(number(y($0.byteCount)))" }
    var elements = ["<polyline points=\"\(points.joined(separator: " "))\" \(style(index))/>"]
    for answer in line.answers where answer >= 0 && answer <= endTime {
      let at = line.points.last { $0.time <= answer } ?? line.points.first
      elements.append(
        "<circle cx=\"\(number(x(answer)))\" cy=\"\(number(y(at?.byteCount ?? 0)))\" r=\"4\" "
          + "fill=\"\(Self.styles[index % Self.styles.count].0)\"/>")
    }
    return elements.joined(separator: "\n")
  }

  private func legendRow(_ index: Int) -> String {
    let line = lines[index]
    let y = Self.top + Self.height + 54 + Double(index) * Self.legendRowHeight
    var text = line.name
    if let most = line.points.map(\.byteCount).max(), let last = line.points.last?.byteCount {
      text += ": at most \(ByteCount(most)), \(ByteCount(last)) at the end"
    }
    if !line.answers.isEmpty { text += "; dots: told what is zero" }
    return "<path d=\"M\(number(Self.left)) \(number(y - 4))h36\" \(style(index))/>\n"
      + textElement(text, x: Self.left + 46, y: y, "font-size=\"12\"")
  }
}

extension EvidenceRun {
  /// Of its last machine. Empty for a run that was not sampled.
  var memoryLine: MemoryLogSVG.Line {
    let life = lastLife.sorted { $0.time < $1.time }
    let begin = life.first?.time ?? 0
    return MemoryLogSVG.Line(
      name: "\(name), Hyper-V features \(features)",
      points: life.compactMap { sample in sample.resident.map { (sample.time - begin, $0) } },
      answers: answers.map { $0.time - begin })
  }
}
