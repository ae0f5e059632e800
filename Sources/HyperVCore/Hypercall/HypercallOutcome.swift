/// What a dispatched hypercall did.
///
/// A thread-safe value.
public struct HypercallOutcome: Hashable, Sendable {
  /// What the guest gets in its result register; always set.
  public let result: HypercallResult

  /// The ranges now in guest memory, in reply order; nil unless a 0x8002 succeeded.
  ///
  /// What may be logged, or withdrawn from further answers; at most 255.
  public let reportedRanges: [BootZeroedRange]?

  /// The mask now in guest memory; nil unless a 0x8001 succeeded.
  public let capabilities: ExtendedCapabilities?

  /// Composes an outcome.
  public init(
    result: HypercallResult, reportedRanges: [BootZeroedRange]? = nil,
    capabilities: ExtendedCapabilities? = nil
  ) {
    self.result = result
    self.reportedRanges = reportedRanges
    self.capabilities = capabilities
  }

  /// An outcome that changed no memory.
  public init(status: HypercallStatus) {
    self.init(result: HypercallResult(status: status))
  }
}
