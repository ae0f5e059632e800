/// One thing measured, and what it is measured against.
struct Figure {
  /// Within its section: `port write, 40 devices`.
  let name: String
  let unit: String
  /// In the figure's unit.
  let samples: Samples
  /// What the floor is called, and its samples, taken in turn with the others; nil where there is
  /// none.
  var floor: (name: String, samples: Samples)?
  /// The most that the ratio is meant to be.
  var goal: Double?
  /// The most that the median is meant to be, in the figure's unit.
  var limit: Double?

  /// Of the medians.
  var ratio: Double? { floor.map { samples.median / $0.samples.median } }

  var ratioOfBests: Double? { floor.map { samples.best / $0.samples.best } }
}

extension Figure {
  /// One object, without a line break.
  func json(section: String) -> String {
    var fields = [
      ("section", quoted(section)), ("name", quoted(name)), ("unit", quoted(unit)),
      ("count", "\(samples.count)"), ("median", number(samples.median)),
      ("best", number(samples.best)), ("spread", number(samples.spread)),
    ]
    if let floor, let ratio, let ratioOfBests {
      fields += [
        ("floor", quoted(floor.name)), ("floorMedian", number(floor.samples.median)),
        ("floorBest", number(floor.samples.best)),
        ("floorSpread", number(floor.samples.spread)), ("ratio", number(ratio)),
        ("ratioOfBests", number(ratioOfBests)),
      ]
    }
    if let limit { fields.append(("limit", number(limit))) }
    if let goal { fields.append(("goal", number(goal))) }
    return "{" + fields.map { "\"\($0)\":\($1)" }.joined(separator: ",") + "}"
  }

  private func number(_ value: Double) -> String {
    value.isFinite ? "\(value)" : "null"
  }

  /// Names are ours: no control characters.
  private func quoted(_ text: String) -> String {
    let escaped = text.flatMap { $0 == "\"" || $0 == "\\" ? ["\\", $0] : [$0] }
    return "\"" + String(escaped) + "\""
  }
}
