import HyperVCore
import TestSupport
import Testing

@Suite("Hypercall dispatch: hostile and mistaken calls", .onVCPUThread)
struct HypercallDispatcherFailureTests {
  static let bothCalls: [UInt64] = [0x8001, 0x8002]

  /// A call that fails must not even ask for ranges: that may be expensive, and marks pages.
  func expectFailure(_ call: Call, _ status: UInt16, _ location: SourceLocation = #_sourceLocation)
  {
    #expect(call.failed(with: status), "got \(call.outcome.result)", sourceLocation: location)
    #expect(call.askedPages.isEmpty, sourceLocation: location)
  }

  @Test(
    "not offered: INVALID_HYPERCALL_CODE",
    arguments: [[], .all.subtracting(.extendedHypercalls), .bootZeroedMemory] as [Enlightenments])
  func extendedOff(enlightenments: Enlightenments) {
    for code in Self.bothCalls {
      expectFailure(Call(code, enlightenments: enlightenments), 2)
      // Access comes first: what else is wrong does not matter.
      let worse = 0xFFFF_FFFF_FFFF_0000 | code
      expectFailure(Call(worse, output: 1, enlightenments: enlightenments), 2)
    }
  }

  @Test("0x8002 without boot-zeroed memory: INVALID_HYPERCALL_CODE")
  func bootZeroedOff() {
    expectFailure(Call(0x8002, enlightenments: .all.subtracting(.bootZeroedMemory)), 2)
  }

  @Test("extended calls without a layout: INVALID_HYPERCALL_CODE", arguments: 0x8003...0x8041)
  func otherExtended(code: Int) {
    expectFailure(Call(UInt64(code), enlightenments: .all), 2)
    expectFailure(Call(UInt64(code) | 1 << 16, output: 7, enlightenments: .all), 2)
  }

  @Test(
    "unknown and unimplemented calls: INVALID_HYPERCALL_CODE",
    arguments: [
      0, 1, 2, 3, 7, 9, 0xB, 0x13, 0x14, 0x15, 0x5C, 0x5D, 0x7FFF, 0x8000, 0x8042, 0xBEEF, 0xFFFF,
    ] as [UInt64])
  func unknown(code: UInt64) {
    expectFailure(Call(code, enlightenments: .all), 2)
  }

  /// Bits 26:17 header size, 31 nested, 43:32 rep count, 59:48 rep start, and all reserved bits.
  @Test(
    "each bit that a simple call must not set: INVALID_HYPERCALL_INPUT",
    arguments: Array(17...63))
  func malformedInput(bit: Int) {
    for code in Self.bothCalls {
      expectFailure(Call(code | 1 << UInt64(bit)), 3)
      // This check comes before fast and alignment.
      expectFailure(Call(code | 1 << UInt64(bit) | 1 << 16, output: 3), 3)
    }
  }

  @Test("fast: INVALID_PARAMETER, before the output GPA is judged", arguments: [0x2000, 3, .max])
  func fast(output: UInt64) {
    for code in Self.bothCalls {
      let call = Call(code | 1 << 16, output: output)
      expectFailure(call, 5)
      #expect(call.memory.questions.isEmpty)
    }
  }

  @Test("misaligned output: INVALID_ALIGNMENT", arguments: 1...7)
  func misaligned(offset: UInt64) {
    for code in Self.bothCalls {
      expectFailure(Call(code, output: 0x2000 + offset), 4)
      expectFailure(Call(code, output: 0xFFFF_FFFF_FFFF_FFF8 + offset), 4)
    }
  }

  @Test("0x8002 crossing a page: INVALID_ALIGNMENT", arguments: [16, 24, 2048, 4080, 4088])
  func crossing(offset: UInt64) {
    let call = Call(0x8002, output: 0x1000 + offset)
    expectFailure(call, 4)
    #expect(call.memory.questions.isEmpty, "pages 1 and 2 are both RAM")
  }

  @Test(
    "output in a hole, past RAM, at the top of 64 bits: INVALID_ALIGNMENT",
    arguments: [
      0, 0x4000, 0xA_0000, 0xFEE0_0000, 1 << 40, 1 << 52, 1 << 63, 0xFFFF_FFFF_FFFF_F000,
      0xFFFF_FFFF_FFFF_F008, 0xFFFF_FFFF_FFFF_FFF8,
    ] as [UInt64])
  func noMemory(output: UInt64) {
    for code in Self.bothCalls { expectFailure(Call(code, output: output), 4) }
  }

  @Test("output in read-only memory: INVALID_ALIGNMENT")
  func readOnly() {
    for code in Self.bothCalls {
      let memory = FakeMemory(readOnlyPages: [2])
      expectFailure(Call(code, memory: memory), 4)
      #expect(memory.writeCount == 0)
    }
  }

  @Test("a write that fails after all: INVALID_ALIGNMENT, nothing reported")
  func writeFails() {
    for code in Self.bothCalls {
      let memory = FakeMemory()
      memory.failsWrites = true
      let call = Call(code, memory: memory)
      #expect(call.failed(with: 4))
      #expect(memory.writeCount == 1)
    }
  }

  @Test("any request at all gets a known status and touches at most its page", arguments: seeds)
  func anyRequest(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<300 {
      let code = [0x8001, 0x8002, 8, generator.next() & 0xFFFF].randomElement(using: &generator)!
      let noise = Bool.random(using: &generator) ? generator.nextOfAnyMagnitude() << 16 : 0
      let output = Bool.random(using: &generator) ? 0x2000 : generator.nextOfAnyMagnitude()
      let call = Call(
        code | noise, output: output, inputAddress: generator.next(),
        enlightenments: Enlightenments(rawValue: generator.next()))
      #expect([0, 2, 3, 4, 5].contains(call.status), "seed \(seed)")
      #expect(call.outcome.result.rawValue >> 16 == 0, "seed \(seed)")
      #expect(call.memory.isUntouched || call.status == 0, "seed \(seed)")
    }
  }
}
