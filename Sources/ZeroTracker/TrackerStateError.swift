/// Why an encoded tracker state was not taken over. The tracker reports nothing from then on.
public enum TrackerStateError: Error, Equatable, Sendable {
  /// A source is attached, or tracking has ended.
  case tooLate
  /// The bytes do not begin as an encoded state does.
  case notAState
  /// Another version of the format.
  case version(UInt32, supported: UInt32)
  /// The bytes were cut off or changed.
  case checksum
  /// The state is of a tracker with other chunks; both in bytes.
  case granularity(UInt64, tracker: UInt64)
  /// The state is of a tracker with more or fewer regions.
  case regionCount(UInt32, tracker: Int)
  /// The state is of a tracker with another region in this place.
  case region(PageRange, tracker: PageRange)
  /// The checksum is right, but what stands at this byte offset cannot be.
  case malformed(offset: Int)
}

extension TrackerStateError: CustomStringConvertible {
  /// What was attempted, with which values, and what to do; one line.
  public var description: String {
    switch self {
    case .tooLate:
      "tracker state restored after a source was attached or tracking ended: "
        + "restore into a new tracker, then attach its source"
    case .notAState:
      "tracker state does not begin with its magic number: give what encodedState returned"
    case .version(let version, let supported):
      "tracker state of version \(version), this library reads version \(supported): "
        + "restore with the library that encoded it, or boot without the state"
    case .checksum:
      "tracker state with a wrong checksum: it was cut off or changed; boot without the state"
    case .granularity(let byteCount, let tracker):
      "tracker state with chunks of \(byteCount) bytes for a tracker with \(tracker): "
        + "make the tracker with the same granularity"
    case .regionCount(let count, let tracker):
      "tracker state of \(count) regions for a tracker with \(tracker): "
        + "make the tracker with the same regions"
    case .region(let region, let tracker):
      "tracker state of region \(region) for a tracker with \(tracker): "
        + "make the tracker with the same regions"
    case .malformed(let offset):
      "tracker state is not well formed at byte \(offset): boot without the state"
    }
  }
}
