/// The hypercall result value, which the guest finds in RAX or EDX:EAX.
///
/// Bits 15:0 are the status, bits 43:32 the number of reps completed, all others zero. A
/// thread-safe value.
///
/// Source: TLFS, Hypercall Interface, "Hypercall Outputs".
public struct HypercallResult: RawRepresentable, Hashable, Sendable {
  /// The result value as the guest sees it.
  public var rawValue: UInt64

  /// Wraps a result value.
  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  /// Composes a result value.
  ///
  /// `repsCompleted` counts from the first element of the list, not from the rep start index, and
  /// is 0 for a simple call. It takes 12 bits; higher bits are cut off.
  public init(status: HypercallStatus, repsCompleted: Int = 0) {
    rawValue = UInt64(status.rawValue)
    rawValue |= (UInt64(truncatingIfNeeded: repsCompleted) & 0xFFF) << 32
  }

  /// The status, bits 15:0.
  public var status: HypercallStatus {
    HypercallStatus(rawValue: UInt16(truncatingIfNeeded: rawValue))
  }

  /// *Reps completed*, bits 43:32, 0...4095.
  public var repsCompleted: Int { Int(truncatingIfNeeded: (rawValue >> 32) & 0xFFF) }
}

extension HypercallResult: CustomStringConvertible {
  /// The status, and the reps completed if there are any.
  public var description: String {
    repsCompleted == 0 ? "\(status)" : "\(status), \(repsCompleted) reps completed"
  }
}

/// What a dispatched hypercall did.
///
/// A thread-safe value.
public struct HypercallOutcome: Hashable, Sendable {
  /// The call that was made.
  public let code: HypercallCode

  /// What the guest gets in its result register; always set.
  public let result: HypercallResult

  /// The header and list that the guest gave, as the call had them; empty for a call without input,
  /// and for one that was refused before it was read.
  public let input: [UInt8]

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
