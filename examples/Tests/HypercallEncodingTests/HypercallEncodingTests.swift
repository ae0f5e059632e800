import HyperVCore
import Testing

/// RAM of a test: 16 pages, and a pattern in what no call writes.
private final class Pages: HypercallMemory {
  static let pattern: UInt8 = 0xA5
  var bytes = [UInt8](repeating: pattern, count: 16 * 4096)

  func isWritable(_ address: GuestAddress, byteCount: Int) -> Bool {
    address.pageNumber < 16
  }

  func write(_ source: RawSpan, at address: GuestAddress) -> Bool {
    for index in 0..<source.byteCount {
      bytes[Int(address.rawValue) + index] =
        source.unsafeLoad(fromByteOffset: index, as: UInt8.self)
    }
    return true
  }
}

@Suite("Hypercalls, without a virtual machine")
struct HypercallEncodingTests {
  private let dispatcher = HypercallDispatcher(
    calls: [GetBootZeroedMemory { _ in [16..<32, 100..<1000] }])

  // TLFS, Hypercall Interface, "Hypercall Inputs": call code in bits 15:0, fast in bit 16, rep
  // count in bits 43:32, rep start index in bits 59:48.
  @Test(
    arguments: [
      (0x8002, HypercallCode.extendedGetBootZeroedMemory, false, 0),
      (0x8001, .extendedQueryCapabilities, false, 0),
      (0x1_0008, .notifyLongSpinWait, true, 0),
      (0x0000_0003_0000_0002, HypercallCode(rawValue: 2), false, 3),
    ] as [(UInt64, HypercallCode, Bool, Int)])
  func inputValues(rawValue: UInt64, code: HypercallCode, isFast: Bool, repCount: Int) {
    let input = HypercallInput(rawValue: rawValue)
    #expect(input.callCode == code)
    #expect(input.isFast == isFast)
    #expect(Int(input.repCount) == repCount)
  }

  // 64-bit code passes the input value in RCX, the input in RDX, the output in R8; 32-bit code in
  // EDX:EAX, EBX:ECX and EDI:ESI. The result goes to RAX, or to EDX:EAX.
  @Test func aCallHasItsRegisters() {
    let long = HypercallConvention(isLongModeActive: true, isCodeSegment64Bit: true)
    var registers = HypercallRegisters(
      rax: 0, rbx: 0, rcx: 0x8002, rdx: 0x1000, rsi: 0, rdi: 0, r8: 0x2000)
    let request = long.request(from: registers)
    #expect(request.input.callCode == .extendedGetBootZeroedMemory)
    #expect(request.outputAddress == GuestAddress(rawValue: 0x2000))
    long.setResult(HypercallResult(status: .invalidAlignment), in: &registers)
    #expect(registers.rax == 4)

    let narrow = HypercallConvention(isLongModeActive: false, isCodeSegment64Bit: false)
    registers = HypercallRegisters(
      rax: 0x8002, rbx: 0, rcx: 0x1000, rdx: 0, rsi: 0x2000, rdi: 0, r8: 0)
    #expect(narrow.request(from: registers) == request)
  }

  @Test func theAnswerHasTheLargestRangeFirst() throws {
    let memory = Pages()
    let request = HypercallRequest(
      input: HypercallInput(rawValue: 0x8002), inputAddress: GuestAddress(rawValue: 0),
      outputAddress: GuestAddress(rawValue: 0x3000))
    let result = dispatcher.answer(request, memory: memory)
    #expect(result.rawValue == 0)
    let reply = Array(memory.bytes[0x3000..<0x3FF8])
    // The count, then start and page count of each range, little-endian.
    #expect(reply.prefix(8) == [2, 0, 0, 0, 0, 0, 0, 0])
    #expect(reply[8..<24] == [100, 0, 0, 0, 0, 0, 0, 0, 0x84, 3, 0, 0, 0, 0, 0, 0])
    #expect(reply[24..<40] == [16, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0])
    #expect(reply[40...].allSatisfy { $0 == 0 })
    #expect(memory.bytes[0x3FF8..<0x4000].allSatisfy { $0 == Pages.pattern })
  }

  // HV_STATUS_INVALID_ALIGNMENT is 4, INVALID_PARAMETER 5, INVALID_HYPERCALL_CODE 2.
  @Test(
    arguments: [
      (0x8002, 0x3001, 4), (0x1_8002, 0x3000, 5), (0x8004, 0x3000, 2),
    ] as [(UInt64, UInt64, UInt64)])
  func aCallThatFailsWritesNothing(input: UInt64, output: UInt64, status: UInt64) {
    let memory = Pages()
    let request = HypercallRequest(
      input: HypercallInput(rawValue: input), inputAddress: GuestAddress(rawValue: 0),
      outputAddress: GuestAddress(rawValue: output))
    #expect(dispatcher.answer(request, memory: memory).rawValue == status)
    #expect(memory.bytes.allSatisfy { $0 == Pages.pattern })
  }
}
