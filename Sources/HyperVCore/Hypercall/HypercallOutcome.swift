/// What a dispatched hypercall did.
///
/// A thread-safe value.
public struct HypercallOutcome: Sendable {
  /// What the guest gets in its result register; always set.
  public let result: HypercallResult

  /// The output that is now in guest memory; nil if nothing was written.
  public let output: (any HypercallOutput)?

  /// Composes an outcome.
  public init(result: HypercallResult, output: (any HypercallOutput)? = nil) {
    self.result = result
    self.output = output
  }

  /// An outcome that changed no memory.
  public init(status: HypercallStatus) {
    self.init(result: HypercallResult(status: status))
  }

  /// The ranges now in guest memory, in reply order; nil unless a 0x8002 succeeded.
  ///
  /// What may be logged, or withdrawn from further answers; at most 255.
  public var reportedRanges: [BootZeroedRange]? { (output as? BootZeroedMemoryReply)?.ranges }

  /// The mask now in guest memory; nil unless a 0x8001 succeeded.
  public var capabilities: ExtendedCapabilities? { output as? ExtendedCapabilities }
}
