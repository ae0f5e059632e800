/// *HvExtCallGetBootZeroedMemory* (0x8002): which memory still reads as zero.
///
/// Source: TLFS, *HvExtCallGetBootZeroedMemory* (web edition).
public final class GetBootZeroedMemory: Hypercall {
  public static let code = HypercallCode.extendedGetBootZeroedMemory
  public static let frame = HypercallFrame(outputByteCount: BootZeroedMemoryReply.byteCount)
  public static let requirement: Enlightenments = [.extendedHypercalls, .bootZeroedMemory]

  private let zeroedPages: @Sendable (UInt64) -> [Range<UInt64>]

  /// The call, answered from the ranges that a closure gives.
  ///
  /// - Parameter zeroedPages: the pages (GPNs) that read as zero now. It is called at most once a
  ///   call, after all validation has passed, with the GPN of the page that receives the reply,
  ///   which must not be reported: from now on it is not zero. Any order will do: the largest go
  ///   first. The reply page, empty ranges and ranges past the GPA space are taken out.
  public init(_ zeroedPages: @escaping @Sendable (UInt64) -> [Range<UInt64>]) {
    self.zeroedPages = zeroedPages
  }

  public var capability: ExtendedCapabilities { .bootZeroedMemory }

  public func answer(
    _ arguments: HypercallArguments, input: RawSpan, output: inout MutableRawSpan
  ) -> HypercallResult {
    let page = arguments.outputPage
    let ranges = zeroedPages(page).map { BootZeroedRange($0) }
    BootZeroedMemoryReply(zeroedRanges: ranges, excludingPage: page).encode(into: &output)
    return HypercallResult(status: .success)
  }
}
