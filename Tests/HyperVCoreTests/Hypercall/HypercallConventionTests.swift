import HyperVCore
import TestSupport
import Testing

@Suite("Calling conventions, TLFS Hypercall Inputs", .onVCPUThread)
struct HypercallConventionTests {
  /// Every half of every register is different, so that a mix-up shows.
  static let registers = HypercallRegisters(
    rax: 0xA1A1_A1A1_A0A0_A0A0, rbx: 0xB1B1_B1B1_B0B0_B0B0, rcx: 0xC1C1_C1C1_C0C0_C0C0,
    rdx: 0xD1D1_D1D1_D0D0_D0D0, rsi: 0x5151_5151_5050_5050, rdi: 0xE1E1_E1E1_E0E0_E0E0,
    r8: 0x8181_8181_8080_8080)

  @Test(
    "EFER.LMA and CS.L together make 64-bit",
    arguments: [(false, false, HypercallConvention.bits32), (false, true, .bits32)]
      + [(true, false, .bits32), (true, true, .bits64)])
  func width(isLongModeActive: Bool, isCodeSegment64Bit: Bool, expected: HypercallConvention) {
    let convention = HypercallConvention(
      isLongModeActive: isLongModeActive, isCodeSegment64Bit: isCodeSegment64Bit)
    #expect(convention == expected)
  }

  @Test("64-bit: RCX, RDX, R8")
  func request64() {
    let request = HypercallConvention.bits64.request(from: Self.registers)
    #expect(request.input.rawValue == 0xC1C1_C1C1_C0C0_C0C0)
    #expect(request.inputAddress.rawValue == 0xD1D1_D1D1_D0D0_D0D0)
    #expect(request.outputAddress.rawValue == 0x8181_8181_8080_8080)
  }

  @Test("32-bit: EDX:EAX, EBX:ECX, EDI:ESI, upper halves ignored")
  func request32() {
    let request = HypercallConvention.bits32.request(from: Self.registers)
    #expect(request.input.rawValue == 0xD0D0_D0D0_A0A0_A0A0)
    #expect(request.inputAddress.rawValue == 0xB0B0_B0B0_C0C0_C0C0)
    #expect(request.outputAddress.rawValue == 0xE0E0_E0E0_5050_5050)
  }

  @Test("64-bit: the result goes to RAX, nothing else changes")
  func result64() {
    var registers = Self.registers
    HypercallConvention.bits64.setResult(
      HypercallResult(rawValue: 0x0123_4567_89AB_CDEF), in: &registers)
    var expected = Self.registers
    expected.rax = 0x0123_4567_89AB_CDEF
    #expect(registers == expected)
  }

  @Test("32-bit: the result goes to EDX:EAX, zero-extended, nothing else changes")
  func result32() {
    var registers = Self.registers
    HypercallConvention.bits32.setResult(
      HypercallResult(rawValue: 0x0123_4567_89AB_CDEF), in: &registers)
    var expected = Self.registers
    expected.rax = 0x89AB_CDEF
    expected.rdx = 0x0123_4567
    #expect(registers == expected)
  }

  @Test("requests of random registers survive", arguments: seeds)
  func random(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<200 {
      let (input, source, target) = (generator.next(), generator.next(), generator.next())
      let low: UInt64 = 0xFFFF_FFFF
      let expected = HypercallRequest(
        input: HypercallInput(rawValue: input), inputAddress: GuestAddress(rawValue: source),
        outputAddress: GuestAddress(rawValue: target))
      let registers64 = HypercallRegisters(rcx: input, rdx: source, r8: target)
      #expect(HypercallConvention.bits64.request(from: registers64) == expected, "seed \(seed)")
      let registers32 = HypercallRegisters(
        rax: input & low, rbx: source >> 32, rcx: source & low, rdx: input >> 32,
        rsi: target & low, rdi: target >> 32)
      #expect(HypercallConvention.bits32.request(from: registers32) == expected, "seed \(seed)")
    }
  }
}
