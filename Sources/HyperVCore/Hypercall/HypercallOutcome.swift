/// What a dispatched hypercall did.
///
/// A thread-safe value.
public struct HypercallOutcome: Hashable, Sendable {
  /// The call that was made.
  public let code: HypercallCode

  /// What the guest gets in its result register; always set.
  public let result: HypercallResult

  /// The output that is now in guest memory; empty if nothing was written.
  public let reply: [UInt8]

  /// The ranges now in guest memory, in reply order; nil unless a 0x8002 succeeded.
  ///
  /// What may be logged, or withdrawn from further answers; at most 255.
  public var reportedRanges: [BootZeroedRange]? {
    guard code == .extendedGetBootZeroedMemory else { return nil }
    // SAFETY: a view of elements as bytes may show padding; UInt8 has none.
    return try? unsafe BootZeroedMemoryReply(decoding: reply.span.bytes).ranges
  }

  /// The mask now in guest memory; nil unless a 0x8001 succeeded.
  public var capabilities: ExtendedCapabilities? {
    guard code == .extendedQueryCapabilities else { return nil }
    // SAFETY: as above.
    return unsafe reply.span.bytes.loadLE(at: 0).map { ExtendedCapabilities(rawValue: $0) }
  }
}
