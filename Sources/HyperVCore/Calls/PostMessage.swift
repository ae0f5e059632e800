/// *HvPostMessage* (0x005C): a message of up to 240 bytes to a connection.
///
/// Offered only where something is at the other end: `HyperVParameters.offersConnections`.
///
/// Source: TLFS, Inter-Partition Communication, *HvCallPostMessage*.
public final class PostMessage: Hypercall {
  /// What one message has room for.
  public static let maximumByteCount = 240
  private static let payloadOffset = 16

  public static let code = HypercallCode.postMessage
  public static let frame = HypercallFrame(headerByteCount: payloadOffset + maximumByteCount)
  public static let requirement: Enlightenments = .syntheticInterrupts

  private let post: @Sendable (_ connection: UInt32, _ type: UInt32, [UInt8]) -> HypercallStatus

  /// The call.
  ///
  /// - Parameter post: gets the connection's number, the message's type and its bytes, all of the
  ///   guest's choice; it says what the guest is answered.
  public init(
    post: @escaping @Sendable (_ connection: UInt32, _ type: UInt32, [UInt8]) -> HypercallStatus
  ) {
    self.post = post
  }

  public func answer(
    _ arguments: HypercallArguments, input: RawSpan, output: inout MutableRawSpan
  ) -> HypercallResult {
    guard let connection = input.loadLE(at: 0, as: UInt32.self),
      let type = input.loadLE(at: 8, as: UInt32.self),
      let byteCount = input.loadLE(at: 12, as: UInt32.self), byteCount <= Self.maximumByteCount,
      // The lower types are the hypervisor's own; 0 is none, and the highest bit is its as well.
      type != 0, type & 0x8000_0000 == 0
    else { return HypercallResult(status: .invalidParameter) }
    var payload: [UInt8] = []
    payload.reserveCapacity(Int(byteCount))
    for index in 0..<Int(byteCount) {
      payload.append(input.loadLE(at: Self.payloadOffset + index, as: UInt8.self) ?? 0)
    }
    return HypercallResult(status: post(connection, type, payload))
  }
}

/// *HvSignalEvent* (0x005D): sets an event flag of a connection.
///
/// Source: TLFS, Inter-Partition Communication, *HvCallSignalEvent*.
public final class SignalEvent: Hypercall {
  public static let code = HypercallCode.signalEvent
  public static let frame = HypercallFrame(headerByteCount: 8)
  public static let requirement: Enlightenments = .syntheticInterrupts

  private let signal: @Sendable (_ connection: UInt32, _ flag: UInt16) -> HypercallStatus

  /// The call.
  ///
  /// - Parameter signal: gets the connection's and the flag's number, of the guest's choice; it
  ///   says what the guest is answered.
  public init(
    signal: @escaping @Sendable (_ connection: UInt32, _ flag: UInt16) -> HypercallStatus
  ) {
    self.signal = signal
  }

  public func answer(
    _ arguments: HypercallArguments, input: RawSpan, output: inout MutableRawSpan
  ) -> HypercallResult {
    // Bits 63:48 are reserved.
    guard let value = input.loadLE(at: 0, as: UInt64.self), value >> 48 == 0 else {
      return HypercallResult(status: .invalidHypercallInput)
    }
    return HypercallResult(
      status: signal(
        UInt32(truncatingIfNeeded: value), UInt16(truncatingIfNeeded: value >> 32)))
  }
}
