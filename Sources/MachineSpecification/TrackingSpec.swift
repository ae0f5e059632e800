public import ZeroTracker

/// What tracks the guest's writes.
public enum WrittenPageSourceKind: String, Hashable, Sendable, CaseIterable, Codable, SpecChoice {
  /// KVM's dirty log: every guest write, on every kernel and backing, without privilege.
  case dirtyLog = "dirty-log"
  /// Write protection of this process's mapping (userfaultfd): the guest's writes, this process's
  /// own and those of the kernel for others, such as vhost. Linux 6.7.
  case writeProtect = "write-protect"
  /// The memory itself: what the host never populated is zero, what it populated is read at the
  /// answer. It costs nothing in between, and sees every writer. Linux 6.7.
  case populated

  /// For people: `dirty log`.
  public var title: String {
    switch self {
    case .dirtyLog: "dirty log"
    case .writeProtect: "write protection"
    case .populated: "population and content"
    }
  }
}

/// How long guest writes are tracked.
///
/// The dirty log and write protection cost the guest speed: its memory is mapped by 4 KiB pages,
/// and a page's first write exits to the kernel. `populated` costs nothing, so with it there is
/// nothing to end: `untilAnswered` is as `always`. Without tracking nothing can be reported.
public enum TrackingPolicy: Hashable, Sendable {
  /// Until that many seconds after the first answer to 0x8002; 0 ends it with that answer.
  case untilAnswered(seconds: Int)
  /// To the end of the run.
  case always
  /// Not at all: the guest is not offered 0x8002.
  case never

  /// 30 seconds after the first answer. Some versions of Windows are said to ask more than once,
  /// from the loader and from the kernel: while an operating system starts, a later call deserves
  /// the truth too. Once it has zeroed what it must, the call is of no more use to it.
  public static let `default` = TrackingPolicy.untilAnswered(seconds: 30)

  /// What a text may ask for: a day, far beyond what any guest takes to start.
  package static let seconds = 0...86_400
  private static let words = ["until-answered", "always", "never"]

  /// Reads `until-answered`, `until-answered=SECONDS`, `always` or `never`.
  public init(parsing text: String) throws(SpecValueError) {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    let name = String(parts[0])
    switch (name, parts.count) {
    case ("always", 1): self = .always
    case ("never", 1): self = .never
    case ("until-answered", 1): self = .default
    case ("until-answered", 2):
      guard let seconds = Int(parts[1]), Self.seconds.contains(seconds) else {
        throw .number(String(parts[1]), in: Self.seconds, part: name)
      }
      self = .untilAnswered(seconds: seconds)
    default:
      throw .unknown(
        text, choices: Self.words, nearest: NearestName.nearest(to: name, among: Self.words))
    }
  }

  /// As `init(parsing:)` reads it.
  package var text: String {
    switch self {
    case .always: "always"
    case .never: "never"
    case .untilAnswered(let seconds): "until-answered=\(seconds)"
    }
  }
}

/// How zero memory is tracked. A thread-safe value.
public struct TrackingSpec: Hashable, Sendable {
  /// How much memory is looked into before an answer.
  public enum Refinement: Hashable, Sendable {
    case off
    case reading(ByteCount)
  }

  /// What tracks the guest's writes; nil for what costs least: see
  /// `MachineConfiguration.writtenPageSource`.
  public var source: WrittenPageSourceKind?
  public var policy = TrackingPolicy.default
  /// Memory per bit of the VMM's own writes.
  public var granularity = TrackingGranularity.default
  /// Nil leaves it to `GuestMemory`, which documents its choice.
  public var refinement: Refinement?
  /// Whether each page is read before it is reported.
  public var verifiesZeroedMemory = false
  /// How long zero pages of sparsely used huge pages are given back at each answer, in
  /// milliseconds; nil for not at all.
  public var trimMilliseconds: Int?

  /// What may be asked for: a guest that waits for longer takes its processor for dead.
  package static let trimRange = 1...10_000
  /// What stands for no number.
  package static let usualTrimMilliseconds = 100

  /// The defaults.
  public init() {}
}

extension TrackingGranularity {
  /// Reads a size.
  package init(parsing text: String) throws(SpecValueError) {
    let byteCount = try ByteCount(reading: text)
    do throws(ZeroTrackerError) {
      try self.init(byteCount: byteCount.bytes)
    } catch {
      throw SpecValueError(
        "\(byteCount.optionText) is not a power of two from "
          + "\(ByteCount(Self.byteCounts.lowerBound).optionText) to "
          + ByteCount(Self.byteCounts.upperBound).optionText)
    }
  }
}

extension TrackingSpec.Refinement {
  /// Reads a size, or `off`.
  package init(parsing text: String) throws(SpecValueError) {
    self = text == Self.offWord ? .off : .reading(try ByteCount(reading: text))
  }

  /// As `init(parsing:)` reads it.
  package var text: String {
    switch self {
    case .off: Self.offWord
    case .reading(let byteCount): byteCount.optionText
    }
  }

  private static let offWord = "off"
}

extension ByteCount {
  /// The same as `init(parsing:)`, with the error of a specification's values.
  package init(reading text: String) throws(SpecValueError) {
    do throws(ByteCountError) {
      try self.init(parsing: text)
    } catch {
      throw .size(error)
    }
  }
}
