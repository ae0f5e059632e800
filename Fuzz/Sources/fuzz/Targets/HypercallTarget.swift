internal import HyperVCore
internal import Synchronization

/// Hypercalls from any registers, under any enlightenments, with any answer of the tracker, against
/// the rules of `HypercallDispatcher` written down once more in raw bits.
final class HypercallTarget: FuzzTarget {
  static let name = "hypercall"
  static let maximumInputByteCount = 512

  private static let codes: [UInt16] = [0x8001, 0x8002, 0x0008, 0x8003, 0x8041, 0x8042, 0x0002, 0]
  private static let pageOffsets: [UInt64] = [0, 8, 0x10, 4, 1, 0x800, 0xFF0, 0xFF8]

  init() {}

  func run(_ input: FuzzInput) {
    var registers = Self.registers(input)
    let convention = HypercallConvention(
      isLongModeActive: input.bool, isCodeSegment64Bit: input.bool)
    let enlightenments = Enlightenments(rawValue: UInt64(input.uint16))
    let memory = ReplyMemory(failsWriting: input.byte == 0xFF)
    let ranges = Self.ranges(input)
    let request = convention.request(from: registers)
    Self.checkInputValue(request.input)

    let asked = Mutex<UInt64?>(nil)
    let call = GetBootZeroedMemory { page in
      asked.withLock { asked in
        require(asked == nil, "the ranges were asked for twice")
        asked = page
      }
      return ranges
    }
    let dispatcher = HypercallDispatcher(enlightenments: enlightenments, calls: [call])
    let outcome = dispatcher.dispatch(request, memory: memory)
    let askedFor = asked.withLock { $0 }

    let (status, byteCount) = Self.expectation(request, dispatcher.enlightenments, memory)
    require(outcome.result.status == status, "\(outcome.result) for \(request), not \(status)")
    require(outcome.result.rawValue == UInt64(status.rawValue), "\(outcome.result.rawValue)")
    require(memory.written.map(\.bytes.count) == byteCount.map { [$0] } ?? [], "memory changed")
    if let written = memory.written.first {
      require(written.address == request.outputAddress, "written to \(written.address)")
      Self.checkReply(written.bytes, outcome, replyPage: request.outputAddress.rawValue >> 12)
    } else {
      require(outcome.reportedRanges == nil && outcome.capabilities == nil, "told, not written")
    }
    if let askedFor {
      require(askedFor == request.outputAddress.rawValue >> 12, "asked for page \(askedFor)")
    }
    Self.checkResultRegisters(&registers, convention, outcome.result)
  }

  /// Any registers, or those of a call that may be good in either convention.
  private static func registers(_ input: FuzzInput) -> HypercallRegisters {
    guard input.byte % 4 != 0 else {
      return HypercallRegisters(
        rax: input.uint64, rbx: input.uint64, rcx: input.uint64, rdx: input.uint64,
        rsi: input.uint64, rdi: input.uint64, r8: input.uint64)
    }
    // Mostly the code alone; a byte of any other field.
    let value = UInt64(input.pick(codes)) | UInt64(input.byte) << UInt64(input.byte % 64)
    let page = input.byte
    let address = (page == 0xFF ? .max : UInt64(page % 20)) << 12 | input.pick(pageOffsets)
    guard input.bool else {
      return HypercallRegisters(rcx: value, rdx: input.anyMagnitude, r8: address)
    }
    return HypercallRegisters(
      rax: value & 0xFFFF_FFFF | UInt64(input.byte) << 32, rdx: value >> 32, rsi: address,
      rdi: address >> 32)
  }

  private static func ranges(_ input: FuzzInput) -> [Range<UInt64>] {
    // Sometimes more than a reply takes, from few bytes.
    let copies = input.byte % 16 == 15 ? 100 : 1
    var ranges: [Range<UInt64>] = []
    while !input.isEmpty, ranges.count < 300 {
      let (start, count) = (input.anyMagnitude, input.anyMagnitude)
      for copy in 0..<UInt64(copies) {
        let start = start &+ copy
        let (end, overflows) = start.addingReportingOverflow(count)
        ranges.append(start..<(overflows ? .max : end))
      }
    }
    return ranges
  }

  /// Fields hide no bit and overlap nowhere: a value is the sum of its parts.
  private static func checkInputValue(_ value: HypercallInput) {
    let again = HypercallInput(
      callCode: value.callCode, isFast: value.isFast,
      variableHeaderQuadwordCount: value.variableHeaderQuadwordCount, isNested: value.isNested,
      repCount: value.repCount, repStartIndex: value.repStartIndex)
    require(again.rawValue & value.reservedBits == 0, "\(value)")
    require(again.rawValue | value.reservedBits == value.rawValue, "\(value)")
  }

  /// The status, and how many bytes are written.
  private static func expectation(
    _ request: HypercallRequest, _ enlightenments: Enlightenments, _ memory: ReplyMemory
  ) -> (HypercallStatus, Int?) {
    let value = request.input.rawValue
    let isExtended = enlightenments.rawValue >> 12 & 1 == 1
    let byteCount: Int
    switch value & 0xFFFF {
    case 0x0008: return (.success, nil)
    case 0x8001 where isExtended: byteCount = 8
    case 0x8002 where isExtended && enlightenments.rawValue >> 13 & 1 == 1: byteCount = 0xFF8
    default: return (.invalidHypercallCode, nil)
    }
    // All but the code and *Fast*.
    if value >> 17 != 0 { return (.invalidHypercallInput, nil) }
    if value >> 16 & 1 != 0 { return (.invalidParameter, nil) }
    let address = request.outputAddress.rawValue
    guard address % 8 == 0, address % 4096 + UInt64(byteCount) <= 4096,
      ReplyMemory.isRAM(address), !memory.failsWriting
    else { return (.invalidAlignment, nil) }
    return (.success, byteCount)
  }

  private static func checkReply(
    _ bytes: [UInt8], _ outcome: HypercallOutcome, replyPage: UInt64
  ) {
    guard bytes.count > 8 else {
      require(outcome.capabilities?.encode() == bytes, "other capabilities than told")
      return
    }
    let reply = try? bytes.withRawSpan { bytes throws(BootZeroedMemoryReplyError) in
      try BootZeroedMemoryReply(decoding: bytes)
    }
    guard let reply, reply.ranges == outcome.reportedRanges, reply.encode() == bytes else {
      fatalError("a reply that does not decode to what was told: \(bytes)")
    }
    var previous = UInt64.max
    for range in reply.ranges {
      require(range.pageCount <= previous, "not the largest first: \(reply.ranges)")
      previous = range.pageCount
      guard let end = range.endPage else { fatalError("a range past the last page: \(range)") }
      require(!(range.startPage..<end).contains(replyPage), "the reply's own page: \(range)")
    }
  }

  private static func checkResultRegisters(
    _ registers: inout HypercallRegisters, _ convention: HypercallConvention,
    _ result: HypercallResult
  ) {
    convention.setResult(result, in: &registers)
    switch convention {
    case .bits64: require(registers.rax == result.rawValue, "RAX")
    case .bits32:
      require(registers.rdx << 32 | registers.rax == result.rawValue, "EDX:EAX")
      require((registers.rdx | registers.rax) >> 32 == 0, "upper halves")
    }
  }
}

/// Sixteen pages with a hole, and the last page of all.
private final class ReplyMemory: HypercallMemory {
  /// Says that a page is writable, and then it is not.
  let failsWriting: Bool
  private(set) var written: [(address: GuestAddress, bytes: [UInt8])] = []

  init(failsWriting: Bool) {
    self.failsWriting = failsWriting
  }

  static func isRAM(_ address: UInt64) -> Bool {
    let page = address >> 12
    return page < 16 && page != 3 || page == .max >> 12
  }

  func isWritable(_ address: GuestAddress, byteCount: Int) -> Bool {
    require(address.pageOffset + byteCount <= 4096, "\(byteCount) bytes at \(address)")
    return Self.isRAM(address.rawValue)
  }

  func write(_ bytes: RawSpan, at address: GuestAddress) -> Bool {
    require(isWritable(address, byteCount: bytes.byteCount), "write to \(address)")
    guard !failsWriting else { return false }
    // SAFETY: every byte of a raw span is initialised.
    written.append((address, unsafe bytes.withUnsafeBytes { unsafe Array($0) }))
    return true
  }
}
