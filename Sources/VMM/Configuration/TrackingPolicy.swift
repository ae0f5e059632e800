/// When a machine stops tracking which pages are zero.
public enum TrackingPolicy: Hashable, Sendable {
  /// After the first successful 0x8002.
  case untilAnswered(seconds: Int)
  /// Never: every 0x8002 is answered, and the dirty log stays on.
  case always
  /// After the first successful 0x8002.
  case never
}
