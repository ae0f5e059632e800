import HyperVCore
import TestSupport
import Testing

@Suite("Hypercall input value, TLFS 6.0b §3.7")
struct HypercallInputTests {
  struct Vector: Sendable, CustomTestStringConvertible {
    let name: String
    let hex: UInt64
    let code: UInt16
    var isFast = false
    var header = 0
    var isNested = false
    var repCount = 0
    var repStart = 0
    var testDescription: String { name }
  }

  static let vectors = [
    Vector(name: "zero", hex: 0, code: 0),
    Vector(name: "bits 15:0, query capabilities", hex: 0x8001, code: 0x8001),
    Vector(name: "bits 15:0, all", hex: 0xFFFF, code: 0xFFFF),
    Vector(name: "bit 16, fast", hex: 0x1_8002, code: 0x8002, isFast: true),
    Vector(name: "bit 17, one quadword", hex: 0x2_0015, code: 0x15, header: 1),
    Vector(name: "bits 26:17, all", hex: 0x7FE_0000, code: 0, header: 1023),
    Vector(name: "bit 31, nested", hex: 0x8000_0008, code: 8, isNested: true),
    Vector(name: "bit 32, one rep", hex: 0x1_0000_0003, code: 3, repCount: 1),
    Vector(name: "bits 43:32, all", hex: 0xFFF_0000_0000, code: 0, repCount: 4095),
    Vector(name: "bit 48, from one", hex: 0x1_0000_0000_0000, code: 0, repStart: 1),
    Vector(name: "bits 59:48, all", hex: 0xFFF_0000_0000_0000, code: 0, repStart: 4095),
    Vector(
      name: "flush list, 25 reps from 20, sparse banks", hex: 0x0014_0019_0004_0014, code: 0x14,
      header: 2, repCount: 25, repStart: 20),
    Vector(
      name: "every field full", hex: 0x0FFF_0FFF_87FF_FFFF, code: 0xFFFF, isFast: true,
      header: 1023, isNested: true, repCount: 4095, repStart: 4095),
  ]

  @Test("fields", arguments: vectors)
  func fields(vector: Vector) {
    let input = HypercallInput(rawValue: vector.hex)
    #expect(input.callCode.rawValue == vector.code)
    #expect(input.isFast == vector.isFast)
    #expect(input.variableHeaderQuadwordCount == vector.header)
    #expect(input.isNested == vector.isNested)
    #expect(input.repCount == vector.repCount)
    #expect(input.repStartIndex == vector.repStart)
    #expect(input.reservedBits == 0)
  }

  @Test("composition", arguments: vectors)
  func composition(vector: Vector) {
    let input = HypercallInput(
      callCode: HypercallCode(rawValue: vector.code), isFast: vector.isFast,
      variableHeaderQuadwordCount: vector.header, isNested: vector.isNested,
      repCount: vector.repCount, repStartIndex: vector.repStart)
    #expect(input.rawValue == vector.hex)
  }

  /// Every bit belongs to exactly one field or is reserved.
  @Test("each bit alone", arguments: 0..<64)
  func eachBit(bit: Int) {
    let input = HypercallInput(rawValue: 1 << UInt64(bit))
    let isReserved = [27...30, 44...47, 60...63].contains { $0.contains(bit) }
    #expect(input.callCode.rawValue == (bit < 16 ? 1 << UInt16(bit) : 0))
    #expect(input.isFast == (bit == 16))
    #expect(input.variableHeaderQuadwordCount == ((17...26).contains(bit) ? 1 << (bit - 17) : 0))
    #expect(input.isNested == (bit == 31))
    #expect(input.repCount == ((32...43).contains(bit) ? 1 << (bit - 32) : 0))
    #expect(input.repStartIndex == ((48...59).contains(bit) ? 1 << (bit - 48) : 0))
    #expect(input.reservedBits == (isReserved ? 1 << UInt64(bit) : 0))
    #expect((HypercallInput.reservedMask >> UInt64(bit) & 1 == 1) == isReserved)
  }

  @Test("large arguments reach no neighbour and do not trap", arguments: [-1, .min, .max, 4096])
  func largeArguments(value: Int) {
    let header = HypercallInput(
      callCode: HypercallCode(rawValue: 0), variableHeaderQuadwordCount: value)
    #expect(header.rawValue & ~0x7FE_0000 == 0)
    let reps = HypercallInput(
      callCode: HypercallCode(rawValue: 0), repCount: value, repStartIndex: value)
    #expect(reps.rawValue & ~0x0FFF_0FFF_0000_0000 == 0)
  }

  @Test("fields and reserved bits make the whole value", arguments: seeds)
  func roundTrip(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<500 {
      let input = HypercallInput(rawValue: generator.next())
      let again = HypercallInput(
        callCode: input.callCode, isFast: input.isFast,
        variableHeaderQuadwordCount: input.variableHeaderQuadwordCount, isNested: input.isNested,
        repCount: input.repCount, repStartIndex: input.repStartIndex)
      #expect(again.rawValue | input.reservedBits == input.rawValue, "seed \(seed)")
      #expect(again.reservedBits == 0, "seed \(seed)")
    }
  }

  @Test("description names the call and shows the value")
  func description() {
    #expect(
      "\(HypercallInput(rawValue: 0x1_8002))"
        == "HvExtCallGetBootZeroedMemory (0x8002), input value 0x18002")
  }
}
