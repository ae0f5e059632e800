/// How long guest writes are tracked.
///
/// Tracking costs the guest speed: with the dirty log KVM maps its memory by 4 KiB pages, and a
/// page's first write exits to the kernel. Without it nothing can be reported.
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
}
