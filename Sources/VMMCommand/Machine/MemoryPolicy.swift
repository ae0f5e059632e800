internal import GuestMemory

/// Decides how much memory a guest is to have, by what it says it has available and by what the
/// host lacks. A value without clock, files and threads: each sample gives at most one step.
///
/// - A guest that has less than a tenth of its memory available gets a step more, up to the most it
///   can have, unless the host itself is short.
/// - While the host is short, a guest that has more than a quarter available gives a step up, down
///   to the floor.
/// - Between a tenth and a quarter, and where nobody is short, nothing moves. So a step down, which
///   is an eighth at most, never makes a guest ask for it back at once.
/// - After a step the guest has time to follow, and to report what came of it.
struct MemoryPolicy: Equatable {
  /// What is looked at. In bytes.
  struct Sample: Equatable {
    /// What the guest is to have now.
    var size: UInt64
    /// What it says its programs can have; nil if it has said nothing lately.
    var available: UInt64?
    /// How much of the last ten seconds some process of the host waited for memory, in per mille
    /// (*some avg10*, psi); nil where the host does not say.
    var hostPressure: UInt64?
  }

  /// In a step at least, and by multiples of it: what memory grows by.
  static let leastStep = GuestMemoryLayout.growthUnit
  /// From here on the host is short, in per mille: 10 % of the time.
  static let shortage: UInt64 = 100
  /// Samples after a step that are not looked at.
  static let restCount = 6

  /// Never less than this for the guest: half of what it started with.
  let floor: UInt64
  /// Never more.
  let ceiling: UInt64
  private var rest = 0

  /// - Parameters:
  ///   - start: what the guest starts with.
  ///   - maximum: what it can have.
  init(start: UInt64, maximum: UInt64) {
    floor = min(start, max(start / 2 / 4096 * 4096, Self.leastStep))
    ceiling = max(start, maximum)
  }

  /// What the guest is to have from now on; nil for what it has.
  mutating func next(_ sample: Sample) -> UInt64? {
    guard rest == 0 else {
      rest -= 1
      return nil
    }
    guard let available = sample.available, sample.size > 0 else { return nil }
    let isHostShort = (sample.hostPressure ?? 0) >= Self.shortage
    let step = max(sample.size / 8 / Self.leastStep, 1) * Self.leastStep
    var size = sample.size
    if available < sample.size / 10, !isHostShort {
      size = min(size + step, ceiling)
    } else if available > sample.size / 4, isHostShort {
      // What is left available stays above the tenth.
      let spare = (available - sample.size / 8) / 4096 * 4096
      size -= min(step, spare, size - min(size, floor))
    }
    guard size != sample.size else { return nil }
    rest = Self.restCount
    return size
  }
}
