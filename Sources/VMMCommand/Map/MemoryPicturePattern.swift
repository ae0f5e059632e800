/// Colour and pattern of each class. The colours come from the Okabe-Ito palette, whose members
/// stay distinct in every common kind of colour blindness; the patterns carry the picture without
/// colour. Zero memory, usually most of it, is the quietest.
enum MemoryPicturePattern {
  static func identifier(_ memoryClass: MemoryClass) -> String {
    switch memoryClass {
    case .vmmTouched: "vmm-touched"
    case .claimed: "claimed"
    case .guestWritten: "guest-written"
    case .reportedZero: "reported-zero"
    case .zeroNotReported: "zero-not-reported"
    case .unknown: "unknown"
    case .notRAM: "not-ram"
    }
  }

  /// A `pattern` element that `fill="url(#identifier)"` refers to.
  static func definition(_ memoryClass: MemoryClass) -> String {
    let drawing =
      switch memoryClass {
      case .vmmTouched: diagonal("#d55e00", line: "#7a3500", width: 2, angle: 45)
      case .claimed: dotted("#cc79a7", dot: "#5c2545")
      case .guestWritten: solid("#0072b2")
      case .reportedZero: solid("#bfe3d6")
      case .zeroNotReported: dotted("#f5e663", dot: "#8a7d00")
      case .unknown: diagonal("#ffffff", line: "#52606d", width: 1, angle: 0)
      case .notRAM: diagonal("#eceff2", line: "#c3cbd3", width: 1, angle: -45)
      }
    return "<pattern id=\"\(identifier(memoryClass))\" width=\"6\" height=\"6\" "
      + "patternUnits=\"userSpaceOnUse\"\(drawing.attributes)>\(drawing.body)</pattern>"
  }

  private struct Drawing {
    var attributes = ""
    let body: String
  }

  private static func ground(_ colour: String) -> String {
    "<rect width=\"6\" height=\"6\" fill=\"\(colour)\"/>"
  }

  private static func solid(_ colour: String) -> Drawing {
    Drawing(body: ground(colour))
  }

  private static func diagonal(
    _ colour: String, line: String, width: Int, angle: Int
  ) -> Drawing {
    Drawing(
      attributes: " patternTransform=\"rotate(\(angle))\"",
      body: ground(colour) + "<rect width=\"\(width)\" height=\"6\" fill=\"\(line)\"/>")
  }

  private static func dotted(_ colour: String, dot: String) -> Drawing {
    Drawing(body: ground(colour) + "<circle cx=\"3\" cy=\"3\" r=\"1.3\" fill=\"\(dot)\"/>")
  }
}
