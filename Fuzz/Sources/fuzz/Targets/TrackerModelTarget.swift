internal import ZeroTracker

/// Streams of a tracker's operations, against a page by page model and the bytes themselves. The
/// law: a page that is not zero is never reported.
final class TrackerModelTarget: FuzzTarget {
  static let name = "tracker-model"
  static let maximumInputByteCount = 128

  private static let regions = [
    PageRange(start: GPN(rawValue: 7), pageCount: 130),
    PageRange(start: GPN(rawValue: 500), pageCount: 64),
    PageRange(start: GPN(rawValue: 1 << 40), pageCount: 65),
  ]

  init() {}

  func run(_ input: FuzzInput) {
    let history = TrackerHistory(
      regions: Self.regions, chunkPageCount: 1 << UInt64(input.index(below: 14)))
    while !input.isEmpty {
      let action = input.byte
      let range = Self.range(input)
      switch action & 15 {
      case 0...2: history.guestWrites(range)
      case 3...5: history.vmmWrites(range)
      case 6...7: history.discard(range, canForget: action & 16 != 0, fails: action & 0xE0 == 0xE0)
      case 8: history.claim(range)
      case 9...10: history.refine(range, inspectsMore: action & 16 != 0)
      case 11: history.restart()
      case 12: history.failReading(action & 16 != 0)
      case 13: history.checkSnapshot(range)
      case 14 where action >> 4 == 15: history.stop()
      default:
        history.checkAnswer(
          replyPage: action & 16 != 0 ? range.start : nil,
          limit: [1, 2, 255, .max, 0, -1][Int(action >> 5) % 6])
      }
    }
    history.checkAnswer(replyPage: nil, limit: .max)
  }

  /// Around a region, of a few pages to all; now and then any two numbers.
  private static func range(_ input: FuzzInput) -> PageRange {
    let choice = input.byte
    guard choice < 0xF0 else {
      return PageRange(start: GPN(rawValue: input.anyMagnitude), pageCount: input.anyMagnitude)
    }
    let region = regions[Int(choice) % regions.count]
    let start = GPN(rawValue: region.start.rawValue - 5 + UInt64(input.byte))
    return PageRange(start: start, pageCount: UInt64(input.byte) >> UInt64(choice >> 5))
  }
}
