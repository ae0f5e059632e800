/// Answers hypercalls from a table of calls.
///
/// The frame of every call is checked here, so that both transports, a KVM exit and a trapping
/// hypercall page, give the same answers. It holds no state: any thread may use it at any time, and two
/// vCPUs may call at once if `memory` and the handlers allow it.
///
/// The TLFS leaves open which of several errors a guest sees. This is the order here:
///
/// 1. the call is not offered: *INVALID_HYPERCALL_CODE*. Not *ACCESS_DENIED*, since a guest learns by
///    this status that it may go on without; Windows asks 0x8001 whether it is advertised or not.
/// 2. reserved bits, rep fields that do not fit the call, a variable header or *Is Nested*:
///    *INVALID_HYPERCALL_INPUT*.
/// 3. fast, where the call has output or more than two registers of input: *INVALID_PARAMETER*, as KVM's
///    kernel says for extended calls.
/// 4. input or output not 8-byte aligned, crossing a page, or not in RAM that the guest may read or
///    write: *INVALID_ALIGNMENT*.
///
/// An address that the call has no use for is not looked at: guests pass 0 or anything else. On failure
/// no memory changes.
///
/// Source: TLFS 6.0b §3; TLFS, Hypercall Interface.
public struct HypercallDispatcher: Sendable {
  /// A call of the table, its static properties read once.
  private struct Entry: Sendable {
    let code: UInt16
    let frame: HypercallFrame
    let call: any Hypercall
  }

  /// What the partition was told it may use.
  public let enlightenments: Enlightenments
  private let entries: [Entry]

  /// Makes a dispatcher for a partition with these enlightenments.
  ///
  /// - Parameters:
  ///   - enlightenments: what is offered. They need not be consistent: boot-zeroed memory without
  ///     extended hypercalls is simply not offered.
  ///   - calls: what can be answered, each code once. ``QueryCapabilities`` and ``NotifyLongSpinWait``
  ///     are always there.
  public init(enlightenments: Enlightenments, calls: [any Hypercall]) {
    self.enlightenments = enlightenments
    let offered = calls.filter { enlightenments.contains(type(of: $0).requirement) }
    let capabilities = offered.reduce(into: ExtendedCapabilities()) {
      $0.formUnion(type(of: $1).capability)
    }
    let basic: [any Hypercall] = [QueryCapabilities(capabilities), NotifyLongSpinWait()]
    entries = (basic + offered)
      .filter { enlightenments.contains(type(of: $0).requirement) }
      .map { Entry(code: type(of: $0).code.rawValue, frame: type(of: $0).frame, call: $0) }
    precondition(Set(entries.map(\.code)).count == entries.count, "two calls with one code")
  }

  /// Makes a dispatcher for a partition that is offered exactly what these calls need.
  public init(calls: [any Hypercall]) {
    let needed = calls.reduce(into: Enlightenments()) { $0.formUnion(type(of: $1).requirement) }
    self.init(enlightenments: needed, calls: calls)
  }

  /// Answers one hypercall completely.
  ///
  /// - Parameters:
  ///   - request: the call, as the guest made it.
  ///   - memory: where input comes from, and where the reply goes.
  /// - Returns: the result, and the reply that is now in guest memory.
  public func dispatch(
    _ request: HypercallRequest, memory: borrowing some HypercallMemory & ~Copyable
  ) -> HypercallOutcome {
    let code = request.input.callCode.rawValue
    for index in entries.indices where entries[index].code == code {
      return answer(request, by: entries[index], memory: memory)
    }
    return HypercallOutcome(status: .invalidHypercallCode)
  }

  private func answer(
    _ request: HypercallRequest, by entry: Entry,
    memory: borrowing some HypercallMemory & ~Copyable
  ) -> HypercallOutcome {
    let frame = entry.frame
    if let failure = Self.fault(of: request, frame, memory: memory) {
      return HypercallOutcome(status: failure)
    }
    let arguments = HypercallArguments(
      repCount: frame.elementByteCount == nil ? 0 : request.input.repCount,
      repStartIndex: frame.elementByteCount == nil ? 0 : request.input.repStartIndex,
      outputPage: request.outputAddress.pageNumber)
    let inputByteCount = frame.inputByteCount(repCount: arguments.repCount)
    var answer: HypercallAnswer?
    if frame.isHint || inputByteCount == 0 {
      answer = entry.call.answer(arguments, input: RawSpan())
    } else if request.input.isFast {
      let words: [2 of UInt64] = [
        request.inputAddress.rawValue.littleEndian, request.outputAddress.rawValue.littleEndian,
      ]
      let span = words.span
      // SAFETY: a view of elements as bytes may show padding; UInt64 has none.
      let bytes = unsafe span.bytes
      answer = entry.call.answer(arguments, input: bytes.extracting(first: inputByteCount))
    } else {
      Self.withZeroedBytes(inputByteCount) { bytes in
        guard memory.read(into: &bytes, at: request.inputAddress) else { return }
        answer = entry.call.answer(arguments, input: bytes.bytes)
      }
    }
    guard let answer else { return HypercallOutcome(status: .invalidAlignment) }
    return Self.finish(answer, request, frame, memory: memory)
  }

  /// Writes the output of an answer.
  private static func finish(
    _ answer: HypercallAnswer, _ request: HypercallRequest, _ frame: HypercallFrame,
    memory: borrowing some HypercallMemory & ~Copyable
  ) -> HypercallOutcome {
    let result = HypercallResult(status: answer.status, repsCompleted: answer.repsCompleted)
    guard answer.status == .success, frame.outputByteCount > 0 else {
      return HypercallOutcome(result: result)
    }
    guard let output = answer.output else {
      preconditionFailure("\(request.input.callCode) succeeded without its output")
    }
    var isWritten = false
    withZeroedBytes(frame.outputByteCount) { bytes in
      output.encode(into: &bytes)
      isWritten = memory.write(bytes.bytes, at: request.outputAddress)
    }
    guard isWritten else { return HypercallOutcome(status: .invalidAlignment) }
    return HypercallOutcome(result: result, output: output)
  }

  /// Lends zeroed bytes: eight, which 0x8001 needs, without an allocation.
  private static func withZeroedBytes(_ byteCount: Int, _ body: (inout MutableRawSpan) -> Void) {
    if byteCount == 8 {
      var word: [1 of UInt64] = [0]
      var elements = word.mutableSpan
      // SAFETY: every bit pattern is a UInt64.
      var bytes = unsafe elements.mutableBytes
      body(&bytes)
    } else {
      _ = [UInt8](zeroCount: byteCount, storing: body)
    }
  }

  /// What is wrong with a call's frame; nil means that it may go ahead.
  private static func fault(
    of request: HypercallRequest, _ frame: HypercallFrame,
    memory: borrowing some HypercallMemory & ~Copyable
  ) -> HypercallStatus? {
    if frame.isHint { return nil }
    let input = request.input
    // Is Nested asks for the hypervisor one level further out. None is advertised (leaf 0x40000004,
    // EAX bit 12 is clear), and an answer about this level's memory would be wrong for that one.
    guard input.reservedBits == 0, !input.isNested, input.variableHeaderQuadwordCount == 0,
      hasFittingReps(input, frame)
    else { return .invalidHypercallInput }
    if input.isFast { return frame.allowsFast ? nil : .invalidParameter }
    let output = request.outputAddress
    guard
      liesInPage(request.inputAddress, frame.inputByteCount(repCount: input.repCount)),
      liesInPage(output, frame.outputByteCount),
      frame.outputByteCount == 0
        || memory.isWritable(output, byteCount: frame.outputByteCount)
    else { return .invalidAlignment }
    return nil
  }

  /// A simple call has no rep fields; a rep call has at least one element left to do.
  private static func hasFittingReps(_ input: HypercallInput, _ frame: HypercallFrame) -> Bool {
    if frame.elementByteCount == nil { return input.repCount == 0 && input.repStartIndex == 0 }
    return input.repStartIndex < input.repCount
  }

  /// Whether a parameter is 8-byte aligned and within one page, if there is one.
  private static func liesInPage(_ address: GuestAddress, _ byteCount: Int) -> Bool {
    byteCount == 0
      || address.rawValue.isMultiple(of: 8)
        && address.pageOffset + byteCount <= GuestAddress.pageByteCount
  }
}
