import HyperVCore
import TestSupport
import Testing

@Suite("Reference time, TLFS Timers")
struct ReferenceTimeTests {
  /// Long multiplication by 16-bit digits: slow, and nothing in common with the code under test.
  static func highHalf(_ left: UInt64, _ right: UInt64) -> UInt64 {
    var digits = [UInt64](repeating: 0, count: 9)
    for row in 0..<4 {
      for column in 0..<4 {
        let product = (left >> UInt64(16 * row) & 0xFFFF) * (right >> UInt64(16 * column) & 0xFFFF)
        digits[row + column] += product & 0xFFFF
        digits[row + column + 1] += product >> 16
      }
    }
    for place in 0..<8 {
      digits[place + 1] += digits[place] >> 16
      digits[place] &= 0xFFFF
    }
    return (4..<8).reversed().reduce(0) { $0 << 16 | digits[$1] }
  }

  /// 10^7 * 2^64 / divisor by shifting one bit at a time.
  static func scale(_ divisor: UInt64) -> UInt64 {
    var (remainder, quotient) = (UInt64(10_000_000), UInt64(0))
    for _ in 0..<64 {
      remainder *= 2
      quotient *= 2
      if remainder >= divisor {
        remainder -= divisor
        quotient += 1
      }
    }
    return quotient
  }

  @Test(
    "literal scales",
    arguments: [
      (20_000_000, 0x8000_0000_0000_0000), (40_000_000, 0x4000_0000_0000_0000),
      (2_560_000_000, 0x0100_0000_0000_0000), (10_000_001, 0xFFFF_FE52_80D9_24C8),
      (3_000_000_000, 0x00DA_740D_A740_DA74), (.max, 10_000_000),
    ] as [(UInt64, UInt64)])
  func literalScale(frequency: UInt64, scale: UInt64) {
    let clock = PartitionClock(tscFrequencyHertz: frequency, apicFrequencyHertz: 1)
    #expect(clock.scale == scale)
    #expect(clock.offset == 0)
  }

  @Test("scale and time equal long arithmetic", arguments: seeds)
  func longArithmetic(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<500 {
      let frequency = UInt64.random(in: 10_000_001...10_000_000_000, using: &generator)
      let creation = generator.nextOfAnyMagnitude()
      let clock = PartitionClock(
        tscFrequencyHertz: frequency, apicFrequencyHertz: 1, creationTSC: creation)
      #expect(clock.scale == Self.scale(frequency), "seed \(seed), \(frequency) Hz")
      let offset = 0 &- Self.highHalf(creation, clock.scale)
      #expect(UInt64(bitPattern: clock.offset) == offset, "seed \(seed), \(frequency) Hz")
      for tsc in [0, .max, creation, generator.next(), generator.nextOfAnyMagnitude()] {
        #expect(
          clock.referenceTime(tsc) == Self.highHalf(tsc, clock.scale) &+ offset,
          "seed \(seed), \(frequency) Hz, TSC \(tsc)")
      }
      #expect(clock.referenceTime(creation) == 0, "seed \(seed), \(frequency) Hz")
    }
  }

  @Test("one second is 10^7 units, one short for the rounded scale", arguments: [1, 10, 86_400])
  func seconds(seconds: UInt64) {
    for frequency in [1_000_000_000, 2_419_200_000, 3_000_000_000] as [UInt64] {
      let clock = PartitionClock(
        tscFrequencyHertz: frequency, apicFrequencyHertz: 1, creationTSC: 12_345_678)
      let time = clock.referenceTime(12_345_678 + seconds * frequency)
      #expect((seconds * 10_000_000 - 1...seconds * 10_000_000).contains(time))
    }
  }

  @Test("a TSC set back before creation wraps, without a trap")
  func beforeCreation() {
    let clock = PartitionClock(
      tscFrequencyHertz: 20_000_000, apicFrequencyHertz: 1, creationTSC: 200)
    #expect(clock.offset == -100)
    #expect(clock.referenceTime(0) == 0 &- 100)
    #expect(clock.referenceTime(202) == 1)
    let extreme = PartitionClock(
      tscFrequencyHertz: 10_000_001, apicFrequencyHertz: 1, creationTSC: .max)
    #expect(extreme.referenceTime(.max) == 0)
  }

  @Test("frequencies without a scale")
  func unrepresentable() async {
    #expect(!PartitionClock.canRepresent(tscFrequencyHertz: 0))
    #expect(!PartitionClock.canRepresent(tscFrequencyHertz: 10_000_000))
    #expect(PartitionClock.canRepresent(tscFrequencyHertz: 10_000_001))
    await #expect(processExitsWith: .failure) {
      _ = PartitionClock(tscFrequencyHertz: 10_000_000, apicFrequencyHertz: 1)
    }
  }
}

@Suite("Reference TSC page, TLFS Timers")
struct ReferenceTSCPageTests {
  static let clock = PartitionClock(
    tscFrequencyHertz: 20_000_000, apicFrequencyHertz: 1, creationTSC: 200)

  @Test("sequence, scale, offset, rest zero")
  func encoding() {
    let bytes = ReferenceTSCPage(clock: Self.clock, sequence: 0x0102_0304).encode()
    #expect(
      Array(bytes[..<24]) == [
        4, 3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80,
        0x9C, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
      ])
    #expect(bytes.count == 4096)
    #expect(bytes[24...].allSatisfy { $0 == 0 })
  }

  @Test(
    "sequences skip the two invalid ones",
    arguments: [(0, 1), (1, 2), (0xFFFF_FFFD, 0xFFFF_FFFE), (0xFFFF_FFFE, 1), (.max, 1)]
      as [(UInt32, UInt32)])
  func sequence(before: UInt32, after: UInt32) {
    #expect(ReferenceTSCPage.sequence(after: before) == after)
  }

  @Test("an update is invalid until complete")
  func update() {
    let page = ReferenceTSCPage(clock: Self.clock, sequence: 7)
    let steps = page.updateSteps
    #expect(steps.map(\.byteOffset) == [0, 8, 0])
    var bytes = ReferenceTSCPage(
      clock: PartitionClock(tscFrequencyHertz: 30_000_000, apicFrequencyHertz: 1), sequence: 6
    ).encode()
    var sequences: [UInt8] = []
    for step in steps {
      bytes.replaceSubrange(step.byteOffset..<step.byteOffset + step.bytes.count, with: step.bytes)
      sequences.append(bytes[0])
    }
    #expect(sequences == [0, 0, 7])
    #expect(bytes == page.encode())
  }

  @Test("REFERENCE_TSC: no fault, an effect only for RAM, again on each enabling")
  func register() {
    var fixture = MSRFixture()
    for (value, effects) in [
      (0x3001, [.referenceTSCPageEnabled(3)]), (0x3001, [.referenceTSCPageEnabled(3)]),
      (0x3000, []), (0x1_0001, []), (.max, []), (0x3FFF, [.referenceTSCPageEnabled(3)]),
    ] as [(UInt64, [MSREffect])] {
      #expect(fixture.write(.referenceTSC, value) == .done(effects))
      #expect(fixture.read(.referenceTSC) == .value(value))
    }
    let page = fixture.registers.referenceTSCPage
    #expect(page.sequence == 1 && page.scale == MSRFixture.clock.scale && page.offset == 0)
  }
}
