/// Answers hypercalls: *HvExtCallQueryCapabilities*, *HvExtCallGetBootZeroedMemory* and the spin hint.
///
/// All the TLFS has to say about these calls is here, so that both transports, a KVM exit and a
/// trapping hypercall page, give the same answers. It holds no state: any thread may use it at any
/// time, and two vCPUs may call at once if their `memory` allows it.
///
/// The TLFS leaves open which of several errors a guest sees. This is the order here:
///
/// 1. the call is not offered: *INVALID_HYPERCALL_CODE*. Not *ACCESS_DENIED*, since a guest learns by
///    this status that it may go on without; Windows asks 0x8001 whether it is advertised or not.
/// 2. reserved bits, a rep field, a variable header or *Is Nested*: *INVALID_HYPERCALL_INPUT*.
/// 3. fast: *INVALID_PARAMETER*, as KVM's kernel says. Both calls have output, and no output in
///    registers is defined for them.
/// 4. output not 8-byte aligned, crossing a page, or not in writable RAM: *INVALID_ALIGNMENT*.
///
/// The input GPA is never looked at: neither call has input, and guests pass 0 or anything else. On
/// failure no memory changes.
///
/// Source: TLFS 6.0b §3.14; TLFS, Hypercall Interface; TLFS, *HvExtCallQueryCapabilities*,
/// *HvExtCallGetBootZeroedMemory* and *HvCallNotifyLongSpinWait*.
public struct HypercallDispatcher: Sendable {
  /// What the partition was told it may use.
  public let enlightenments: Enlightenments

  /// Makes a dispatcher for a partition with these enlightenments.
  ///
  /// They need not be consistent: boot-zeroed memory without extended hypercalls is simply not offered.
  public init(enlightenments: Enlightenments) {
    self.enlightenments = enlightenments
  }

  /// Answers one hypercall completely.
  ///
  /// - Parameters:
  ///   - request: the call, as the guest made it.
  ///   - memory: where the reply goes.
  ///   - zeroedRanges: gives the ranges of 0x8002. It is called at most once, after all validation
  ///     has passed, with the GPN of the page that receives the reply, which must not be reported:
  ///     from now on it is not zero. Its ranges are put in order, largest first, so any order will
  ///     do; the reply page, empty ranges and ranges past the GPA space are taken out.
  /// - Returns: the result, and what was told to the guest.
  public func dispatch(
    _ request: HypercallRequest,
    memory: borrowing some HypercallMemory & ~Copyable,
    zeroedRanges: (UInt64) -> [BootZeroedRange]
  ) -> HypercallOutcome {
    switch request.input.callCode {
    case .notifyLongSpinWait:
      // A hint without reply: the guest does not wait for an answer, so there is nothing to refuse.
      return HypercallOutcome(status: .success)
    case .extendedQueryCapabilities where offersExtendedHypercalls:
      return queryCapabilities(request, memory: memory)
    case .extendedGetBootZeroedMemory where offersBootZeroedMemory:
      return getBootZeroedMemory(request, memory: memory, zeroedRanges: zeroedRanges)
    default:
      return HypercallOutcome(status: .invalidHypercallCode)
    }
  }

  private var offersExtendedHypercalls: Bool { enlightenments.contains(.extendedHypercalls) }

  private var offersBootZeroedMemory: Bool {
    enlightenments.contains([.extendedHypercalls, .bootZeroedMemory])
  }

  private func queryCapabilities(
    _ request: HypercallRequest, memory: borrowing some HypercallMemory & ~Copyable
  ) -> HypercallOutcome {
    if let failure = validate(
      request, outputByteCount: ExtendedCapabilities.byteCount, memory: memory)
    {
      return HypercallOutcome(status: failure)
    }
    let capabilities = ExtendedCapabilities(enlightenments)
    guard capabilities.withBytes({ memory.write($0, at: request.outputAddress) }) else {
      return HypercallOutcome(status: .invalidAlignment)
    }
    return HypercallOutcome(
      result: HypercallResult(status: .success), capabilities: capabilities)
  }

  private func getBootZeroedMemory(
    _ request: HypercallRequest,
    memory: borrowing some HypercallMemory & ~Copyable,
    zeroedRanges: (UInt64) -> [BootZeroedRange]
  ) -> HypercallOutcome {
    if let failure = validate(
      request, outputByteCount: BootZeroedMemoryReply.byteCount, memory: memory)
    {
      return HypercallOutcome(status: failure)
    }
    let replyPage = request.outputAddress.pageNumber
    let reply = BootZeroedMemoryReply(
      zeroedRanges: zeroedRanges(replyPage), excludingPage: replyPage)
    guard reply.withBytes({ memory.write($0, at: request.outputAddress) }) else {
      return HypercallOutcome(status: .invalidAlignment)
    }
    return HypercallOutcome(
      result: HypercallResult(status: .success), reportedRanges: reply.ranges)
  }

  /// Checks a simple call that has output and no input; nil means that it may go ahead.
  private func validate(
    _ request: HypercallRequest, outputByteCount: Int,
    memory: borrowing some HypercallMemory & ~Copyable
  ) -> HypercallStatus? {
    let input = request.input
    // Is Nested asks for the hypervisor one level further out. None is advertised (leaf 0x40000004,
    // EAX bit 12 is clear), and an answer about this level's memory would be wrong for that one.
    guard input.reservedBits == 0, input.repCount == 0, input.repStartIndex == 0,
      input.variableHeaderQuadwordCount == 0, !input.isNested
    else { return .invalidHypercallInput }
    guard !input.isFast else { return .invalidParameter }
    let output = request.outputAddress
    guard output.rawValue.isMultiple(of: 8),
      output.pageOffset + outputByteCount <= GuestAddress.pageByteCount,
      memory.isWritable(output, byteCount: outputByteCount)
    else { return .invalidAlignment }
    return nil
  }
}
