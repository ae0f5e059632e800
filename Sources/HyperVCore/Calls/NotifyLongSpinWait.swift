/// *HvCallNotifyLongSpinWait* (0x0008): a spin lock is held for long.
///
/// A hint without reply: the guest does not wait for an answer, so there is nothing to refuse.
///
/// Source: TLFS, *HvCallNotifyLongSpinWait*.
public final class NotifyLongSpinWait: Hypercall {
  public static let code = HypercallCode.notifyLongSpinWait
  public static let frame = HypercallFrame(headerByteCount: 8, isHint: true)
  public static let requirement: Enlightenments = []

  /// The call.
  public init() {}

  public func answer(
    _ arguments: HypercallArguments, input: RawSpan, output: inout MutableRawSpan
  ) -> HypercallResult {
    HypercallResult(status: .success)
  }
}
