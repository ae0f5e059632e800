import HyperVCore
import Synchronization
import TestSupport
import Testing

/// Dispatches one call to pages 1 to 3 of a fake memory, and counts the provider's calls.
struct Call {
  static let boot: Enlightenments = [.extendedHypercalls, .bootZeroedMemory]
  static let zeroed: [Range<UInt64>] = [0x100..<0x107]

  let memory: FakeMemory
  let outcome: HypercallOutcome
  let askedPages: [UInt64]

  init(
    _ input: UInt64, output: UInt64 = 0x2000, inputAddress: UInt64 = 0,
    enlightenments: Enlightenments = boot, memory: FakeMemory = FakeMemory(),
    zeroed: [Range<UInt64>] = zeroed
  ) {
    let request = HypercallRequest(
      input: HypercallInput(rawValue: input),
      inputAddress: GuestAddress(rawValue: inputAddress),
      outputAddress: GuestAddress(rawValue: output))
    let asked = Mutex<[UInt64]>([])
    let call = GetBootZeroedMemory { page in
      asked.withLock { $0.append(page) }
      return zeroed
    }
    outcome = HypercallDispatcher(enlightenments: enlightenments, calls: [call])
      .dispatch(request, memory: memory)
    self.memory = memory
    askedPages = asked.withLock { $0 }
  }

  var status: UInt16 { outcome.result.status.rawValue }

  /// Whether a call left nothing behind but its status.
  func failed(with status: UInt16) -> Bool {
    outcome.reply.isEmpty && outcome.result.rawValue == UInt64(status) && memory.isUntouched
  }
}

@Suite("Hypercall dispatch: success", .onVCPUThread)
struct HypercallDispatcherSuccessTests {
  @Test("0x8001 writes 8 bytes and no more", arguments: [0x2000, 0x2008, 0x2FF8] as [UInt64])
  func queryCapabilities(output: UInt64) {
    let call = Call(0x8001, output: output)
    #expect(call.outcome.result.rawValue == 0)
    #expect(call.outcome.capabilities == .bootZeroedMemory)
    #expect(call.outcome.reportedRanges == nil)
    #expect(call.askedPages.isEmpty)
    var expected = [UInt8](repeating: FakeMemory.pattern, count: 4096)
    let offset = Int(output - 0x2000)
    expected.replaceSubrange(offset..<offset + 8, with: [1, 0, 0, 0, 0, 0, 0, 0])
    #expect(call.memory.pages[2] == expected)
    #expect(call.memory.bytes(page: 1, 0..<4096).allSatisfy { $0 == FakeMemory.pattern })
    #expect(call.memory.bytes(page: 3, 0..<4096).allSatisfy { $0 == FakeMemory.pattern })
  }

  @Test("0x8001 without boot-zeroed memory answers with an empty mask")
  func noCapabilities() {
    let call = Call(0x8001, enlightenments: .extendedHypercalls)
    #expect(call.status == 0)
    #expect(call.outcome.capabilities == [])
    #expect(call.memory.bytes(page: 2, 0..<8) == [UInt8](repeating: 0, count: 8))
  }

  @Test("0x8002 writes all 0xFF8 bytes and no more", arguments: [0, 8])
  func getBootZeroedMemory(offset: Int) {
    let call = Call(0x8002, output: 0x2000 + UInt64(offset))
    #expect(call.outcome.result.rawValue == 0)
    #expect(call.outcome.reportedRanges == Call.zeroed.map { BootZeroedRange($0) })
    #expect(call.outcome.capabilities == nil)
    #expect(call.askedPages == [2])
    let page = call.memory.bytes(page: 2, 0..<4096)
    let written = Array(page[offset..<offset + 0xFF8])
    #expect(written.number(at: 0) == 1)
    #expect(written.number(at: 8) == 0x100)
    #expect(written.number(at: 16) == 7)
    #expect(written[24...].allSatisfy { $0 == 0 })
    let around = page[..<offset] + page[(offset + 0xFF8)...]
    #expect(around.count == 8 && around.allSatisfy { $0 == FakeMemory.pattern })
    #expect(call.memory.bytes(page: 1, 0..<4096).allSatisfy { $0 == FakeMemory.pattern })
    #expect(call.memory.bytes(page: 3, 0..<4096).allSatisfy { $0 == FakeMemory.pattern })
  }

  @Test("the input GPA is not looked at", arguments: [0, 1, 0x5001, .max] as [UInt64])
  func inputAddress(address: UInt64) {
    for code in [0x8001, 0x8002] as [UInt64] {
      let call = Call(code, inputAddress: address)
      #expect(call.status == 0)
      #expect(call.memory.questions.allSatisfy { $0.pageNumber == 2 })
    }
  }

  @Test("the reply page is cut out of what is reported")
  func replyPage() {
    let call = Call(
      0x8002, zeroed: [1..<4])
    #expect(
      call.outcome.reportedRanges == [
        BootZeroedRange(startPage: 1, pageCount: 1), BootZeroedRange(startPage: 3, pageCount: 1),
      ])
    #expect(call.memory.bytes(page: 2, 0..<4096).number(at: 0) == 2)
  }

  @Test("no ranges, and more than fit")
  func counts() {
    let none = Call(0x8002, zeroed: [])
    #expect(none.status == 0 && none.outcome.reportedRanges == [])
    let many = Call(
      0x8002, zeroed: (0..<400).map { (0x1000 + 2 * $0)..<(0x1001 + 2 * $0) })
    #expect(many.outcome.reportedRanges?.count == 255)
    #expect(many.memory.bytes(page: 2, 0..<8).number(at: 0) == 255)
  }

  @Test("the last page of the 64-bit space is as good as any")
  func topPage() {
    let page: UInt64 = (1 << 52) - 1
    for offset in [0, 8] as [UInt64] {
      let call = Call(0x8002, output: page << 12 + offset, memory: FakeMemory(pages: [page]))
      #expect(call.status == 0)
      #expect(call.askedPages == [page])
    }
  }

  @Test(
    "the spin hint succeeds whatever is on or set",
    arguments: [0x0008, 0x1_0008, 0xFFFF_FFFF_FFFF_0008] as [UInt64])
  func longSpinWait(input: UInt64) {
    for enlightenments in [[], .all, Call.boot] as [Enlightenments] {
      #expect(Call(input, output: 3, enlightenments: enlightenments).failed(with: 0))
    }
  }

  @Test("both conventions reach the same answer")
  func conventions() {
    let registers: [(HypercallConvention, HypercallRegisters)] = [
      (.bits64, HypercallRegisters(rax: .max, rcx: 0x8002, rdx: .max, r8: 0x2008)),
      (
        .bits32,
        HypercallRegisters(
          rax: 0xFFFF_FFFF_0000_8002, rdx: 0xFFFF_FFFF_0000_0000,
          rsi: 0xFFFF_FFFF_0000_2008, rdi: 0xFFFF_FFFF_0000_0000)
      ),
    ]
    for (convention, before) in registers {
      var registers = before
      let memory = FakeMemory()
      let outcome = HypercallDispatcher(calls: [GetBootZeroedMemory { _ in Call.zeroed }])
        .dispatch(convention.request(from: registers), memory: memory)
      convention.setResult(outcome.result, in: &registers)
      #expect(outcome.reportedRanges == Call.zeroed.map { BootZeroedRange($0) })
      #expect(registers.rax == 0)
      #expect(registers.rdx == (convention == .bits64 ? .max : 0))
      #expect(memory.bytes(page: 2, 8..<16).number(at: 0) == 1)
    }
  }
}
