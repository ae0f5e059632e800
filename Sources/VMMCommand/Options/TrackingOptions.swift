/// What tracks the guest's writes, as `--tracking` names it.
enum TrackingSourceChoice: String, CaseIterable, Codable, Sendable {
  /// The dirty log, which every KVM has.
  case auto
  case dirtyLog = "dirty-log"
  case writeProtect = "write-protect"
}

/// How long guest writes are tracked, as `--tracking-policy` names it.
enum TrackingPolicyChoice: Hashable, Sendable {
  /// Nil seconds leaves the number to the library, which documents its choice.
  case untilAnswered(seconds: Int?)
  case always
  case never

  static let names = ["until-answered", "always", "never"]
  /// A day, far beyond what any guest takes to start.
  static let seconds = 0...86_400
}

/// The options about tracking zero memory, the same for every command that starts a machine.
struct TrackingOptions: Equatable, Sendable {
  var source = TrackingSourceChoice.auto
  var policy = TrackingPolicyChoice.untilAnswered(seconds: nil)
  /// Nil leaves it to the library.
  var refinement: Refinement?
  var verifiesZeroedMemory = false

  /// How much memory is looked into before an answer.
  enum Refinement: Equatable, Sendable {
    case off
    case reading(ByteCount)
  }

  init() {}

  init(_ parsed: ParsedOptions) throws(UsageError) {
    source = try parsed.choice(.tracking) ?? source
    if let text = parsed.text(.trackingPolicy) { policy = try Self.policy(text) }
    if parsed.text(.refine) == "off" {
      refinement = .off
    } else {
      refinement = try parsed.byteCount(.refine).map { .reading($0) }
    }
    verifiesZeroedMemory = parsed.contains(.verifyZeroed)
  }

  private static func policy(_ text: String) throws(UsageError) -> TrackingPolicyChoice {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    let name = String(parts[0])
    switch (name, parts.count) {
    case ("always", 1): return .always
    case ("never", 1): return .never
    case ("until-answered", 1): return .untilAnswered(seconds: nil)
    case ("until-answered", 2):
      let range = TrackingPolicyChoice.seconds
      guard let seconds = Int(parts[1]), range.contains(seconds) else {
        throw .invalidNumber(
          option: OptionDefinition.trackingPolicy.name + " until-answered", String(parts[1]),
          range: range)
      }
      return .untilAnswered(seconds: seconds)
    default:
      throw .unknownChoice(
        option: OptionDefinition.trackingPolicy.name, text, choices: TrackingPolicyChoice.names,
        nearest: NearestName.nearest(to: name, among: TrackingPolicyChoice.names))
    }
  }
}
