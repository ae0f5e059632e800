/// Answers hypercalls from a table of calls.
///
/// The frame of every call is checked here, so that both transports, a KVM exit and a trapping
/// hypercall page, give the same answers. It holds no state: any thread may use it at any time, and
/// two vCPUs may call at once if `memory` and the handlers allow it.
///
/// The TLFS leaves open which of several errors a guest sees. This is the order here:
///
/// 1. the call is not offered: *INVALID_HYPERCALL_CODE*. Not *ACCESS_DENIED*, since a guest learns
///    by this status that it may go on without; Windows asks 0x8001 whether it is advertised or
///    not.
/// 2. reserved bits, rep fields that do not fit the call, a variable header or *Is Nested*:
///    *INVALID_HYPERCALL_INPUT*.
/// 3. fast, where the call has output or more than two registers of input: *INVALID_PARAMETER*, as
///    KVM's kernel says for extended calls.
/// 4. input or output not 8-byte aligned, crossing a page, or not in RAM that the guest may read or
///    write: *INVALID_ALIGNMENT*.
///
/// An address that the call has no use for is not looked at: guests pass 0 or anything else. On
/// failure no memory changes.
///
/// Source: TLFS 6.0b §3; TLFS, Hypercall Interface.
@safe public struct HypercallDispatcher: Sendable {
  /// A call of the table, and what its frame means for the checks, worked out once.
  private final class Entry: Sendable {
    let call: any Hypercall
    let code: UInt16
    /// Bits of the input value that the call must not have.
    let forbiddenBits: UInt64
    let isList: Bool
    let allowsFast: Bool
    let headerByteCount: Int
    /// 0 without a list.
    let elementByteCount: Int
    let outputByteCount: Int

    init(_ call: any Hypercall) {
      let frame = type(of: call).frame
      self.call = call
      code = type(of: call).code.rawValue
      isList = frame.elementByteCount != nil && !frame.isHint
      // A hint has no input that anybody looks at, no output, and no bit that matters.
      headerByteCount = frame.isHint ? 0 : frame.headerByteCount
      elementByteCount = frame.isHint ? 0 : frame.elementByteCount ?? 0
      outputByteCount = frame.isHint ? 0 : frame.outputByteCount
      allowsFast = outputByteCount == 0 && headerByteCount <= 16 && !isList
      // Is Nested asks for the hypervisor one level further out. None is advertised (leaf
      // 0x40000004, EAX bit 12 is clear), and an answer about this level's memory would be wrong
      // for that one.
      forbiddenBits =
        frame.isHint
        ? 0
        : HypercallInput.reservedMask | HypercallInput.nestedBit
          | HypercallInput.variableHeaderMask | (isList ? 0 : HypercallInput.repMask)
    }
  }

  /// What the partition's CPUID offers.
  public let enlightenments: Enlightenments
  /// The references are not counted: else every hypercall would retain and release one, by locked
  /// operations.
  private let table: [Unmanaged<Entry>]
  /// Keep alive what `table` refers to.
  private let entries: [Entry]

  /// Makes a dispatcher for a partition with these enlightenments.
  ///
  /// - Parameters:
  ///   - enlightenments: what is offered. They need not be consistent: boot-zeroed memory without
  ///     extended hypercalls is simply not offered.
  ///   - calls: what can be answered, each code once. ``QueryCapabilities`` and
  ///     ``NotifyLongSpinWait`` are always there.
  public init(enlightenments: Enlightenments, calls: [any Hypercall]) {
    self.enlightenments = enlightenments
    let offered = calls.filter { enlightenments.contains(type(of: $0).requirement) }
    let capabilities = offered.reduce(into: ExtendedCapabilities()) {
      $0.formUnion($1.capability)
    }
    let basic: [any Hypercall] = [QueryCapabilities(capabilities), NotifyLongSpinWait()]
    entries = (basic + offered)
      .filter { enlightenments.contains(type(of: $0).requirement) }
      .map { Entry($0) }
    unsafe table = entries.map { unsafe Unmanaged.passUnretained($0) }
    for (index, entry) in entries.enumerated() {
      precondition(
        !entries[..<index].contains { $0.code == entry.code },
        "two calls with code \(entry.code.hexadecimal)")
    }
  }

  /// Makes a dispatcher for a partition that is offered exactly what these calls need.
  public init(calls: [any Hypercall]) {
    let needed = calls.reduce(into: Enlightenments()) { $0.formUnion(type(of: $1).requirement) }
    self.init(enlightenments: needed, calls: calls)
  }

  /// Answers one hypercall completely: what it asks for is done, and its output is in guest memory.
  ///
  /// - Parameters:
  ///   - request: the call, as the guest made it.
  ///   - memory: where input comes from, and where the reply goes.
  /// - Returns: what the guest gets in its result register.
  public func answer(
    _ request: HypercallRequest, memory: borrowing some HypercallMemory & ~Copyable
  ) -> HypercallResult {
    answer(request, memory: memory, onInput: { _ in }, onReply: { _ in })
  }

  /// Answers one hypercall completely, and keeps a copy of its input and reply, for a log.
  public func dispatch(
    _ request: HypercallRequest, memory: borrowing some HypercallMemory & ~Copyable
  ) -> HypercallOutcome {
    var input: [UInt8] = []
    var reply: [UInt8] = []
    let result = answer(
      request, memory: memory, onInput: { input = [UInt8]($0) }, onReply: { reply = [UInt8]($0) })
    return HypercallOutcome(
      code: request.input.callCode, result: result, input: input, reply: reply)
  }

  /// - Parameters:
  ///   - onInput: gets the header and list that the handler gets, if there are any.
  ///   - onReply: gets the bytes that were written to the guest.
  @inline(__always)
  private func answer(
    _ request: HypercallRequest, memory: borrowing some HypercallMemory & ~Copyable,
    onInput: (RawSpan) -> Void, onReply: (RawSpan) -> Void
  ) -> HypercallResult {
    let code = request.input.callCode.rawValue
    for index in unsafe table.indices {
      // SAFETY: `entries`, which never changes, holds the entry as long as self.
      let result: HypercallResult? = unsafe table[index]._withUnsafeGuaranteedRef { entry in
        guard entry.code == code else { return nil }
        return Self.answer(
          request, by: entry, memory: memory, onInput: onInput, onReply: onReply)
      }
      if let result { return result }
    }
    return HypercallResult(status: .invalidHypercallCode)
  }

  @inline(__always)
  private static func answer(
    _ request: HypercallRequest, by entry: Entry,
    memory: borrowing some HypercallMemory & ~Copyable, onInput: (RawSpan) -> Void,
    onReply: (RawSpan) -> Void
  ) -> HypercallResult {
    let input = request.input
    guard input.rawValue & entry.forbiddenBits == 0,
      !entry.isList || input.repStartIndex < input.repCount
    else { return HypercallResult(status: .invalidHypercallInput) }
    if input.isFast {
      guard entry.allowsFast else { return HypercallResult(status: .invalidParameter) }
    } else if entry.outputByteCount > 0 {
      guard liesInPage(request.outputAddress, entry.outputByteCount),
        memory.isWritable(request.outputAddress, byteCount: entry.outputByteCount)
      else { return HypercallResult(status: .invalidAlignment) }
    }
    guard entry.outputByteCount == 8 else {
      return answerAtLength(
        request, by: entry, memory: memory, onInput: onInput, onReply: onReply)
    }
    // What 0x8001 needs, without an allocation.
    var word: [1 of UInt64] = [0]
    var elements = word.mutableSpan
    // SAFETY: every bit pattern is a UInt64.
    var output = unsafe elements.mutableBytes
    let result = run(request, by: entry, memory: memory, output: &output, onInput: onInput)
    guard result.status == .success else { return result }
    return finish(result, request, output.bytes, memory: memory, onReply: onReply)
  }

  /// The same with output of any length.
  @inline(never)
  private static func answerAtLength(
    _ request: HypercallRequest, by entry: Entry,
    memory: borrowing some HypercallMemory & ~Copyable, onInput: (RawSpan) -> Void,
    onReply: (RawSpan) -> Void
  ) -> HypercallResult {
    var bytes = [UInt8](repeating: 0, count: entry.outputByteCount)
    var elements = bytes.mutableSpan
    // SAFETY: every bit pattern is a UInt8.
    var output = unsafe elements.mutableBytes
    let result = run(request, by: entry, memory: memory, output: &output, onInput: onInput)
    guard result.status == .success, entry.outputByteCount > 0 else { return result }
    return finish(result, request, output.bytes, memory: memory, onReply: onReply)
  }

  @inline(__always)
  private static func finish(
    _ result: HypercallResult, _ request: HypercallRequest, _ output: RawSpan,
    memory: borrowing some HypercallMemory & ~Copyable, onReply: (RawSpan) -> Void
  ) -> HypercallResult {
    guard memory.write(output, at: request.outputAddress) else {
      return HypercallResult(status: .invalidAlignment)
    }
    onReply(output)
    return result
  }

  /// Lets the handler answer.
  @inline(__always)
  private static func run(
    _ request: HypercallRequest, by entry: Entry,
    memory: borrowing some HypercallMemory & ~Copyable, output: inout MutableRawSpan,
    onInput: (RawSpan) -> Void
  ) -> HypercallResult {
    guard entry.headerByteCount == 0, !entry.isList else {
      return runWithInput(
        request, by: entry, memory: memory, output: &output, onInput: onInput)
    }
    let arguments = HypercallArguments(
      repCount: 0, repStartIndex: 0, outputPage: request.outputAddress.pageNumber)
    return entry.call.answer(arguments, input: RawSpan(), output: &output)
  }

  /// Reads the input and lets the handler answer.
  @inline(never)
  private static func runWithInput(
    _ request: HypercallRequest, by entry: Entry,
    memory: borrowing some HypercallMemory & ~Copyable, output: inout MutableRawSpan,
    onInput: (RawSpan) -> Void
  ) -> HypercallResult {
    let repCount = entry.isList ? request.input.repCount : 0
    let arguments = HypercallArguments(
      repCount: repCount, repStartIndex: entry.isList ? request.input.repStartIndex : 0,
      outputPage: request.outputAddress.pageNumber)
    // Fits: a rep count has 12 bits, an element at most a page.
    let inputByteCount = entry.headerByteCount + entry.elementByteCount * repCount
    if request.input.isFast {
      let words: [2 of UInt64] = [
        request.inputAddress.rawValue.littleEndian, request.outputAddress.rawValue.littleEndian,
      ]
      let elements = words.span
      // SAFETY: a view of elements as bytes may show padding; UInt64 has none.
      let input = unsafe elements.bytes.extracting(first: inputByteCount)
      onInput(input)
      return entry.call.answer(arguments, input: input, output: &output)
    }
    guard liesInPage(request.inputAddress, inputByteCount) else {
      return HypercallResult(status: .invalidAlignment)
    }
    var bytes = [UInt8](repeating: 0, count: inputByteCount)
    var elements = bytes.mutableSpan
    // SAFETY: every bit pattern is a UInt8.
    var input = unsafe elements.mutableBytes
    guard memory.read(into: &input, at: request.inputAddress) else {
      return HypercallResult(status: .invalidAlignment)
    }
    onInput(input.bytes)
    return entry.call.answer(arguments, input: input.bytes, output: &output)
  }

  /// Whether a parameter is 8-byte aligned and within one page.
  private static func liesInPage(_ address: GuestAddress, _ byteCount: Int) -> Bool {
    address.rawValue.isMultiple(of: 8)
      && address.pageOffset + byteCount <= GuestAddress.pageByteCount
  }
}
