/// *HvExtCallQueryCapabilities* (0x8001): which extended hypercalls exist.
///
/// ``HypercallDispatcher`` adds it to every table, with the bits of the calls that are offered.
///
/// Source: TLFS 6.0b §3.14; TLFS, *HvExtCallQueryCapabilities*.
public final class QueryCapabilities: Hypercall {
  public static let code = HypercallCode.extendedQueryCapabilities
  public static let frame = HypercallFrame(outputByteCount: ExtendedCapabilities.byteCount)
  public static let requirement = Enlightenments.extendedHypercalls

  private let capabilities: ExtendedCapabilities

  /// Answers with this mask.
  public init(_ capabilities: ExtendedCapabilities) {
    self.capabilities = capabilities
  }

  public func answer(
    _ arguments: HypercallArguments, input: RawSpan, output: inout MutableRawSpan
  ) -> HypercallResult {
    capabilities.encode(into: &output)
    return HypercallResult(status: .success)
  }
}
