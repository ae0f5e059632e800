import HyperVCore
import TestSupport
import Testing

@Suite("Extended capabilities, TLFS 6.0b §3.14", .onVCPUThread)
struct ExtendedCapabilitiesTests {
  static let bits: [(ExtendedCapabilities, Int)] = [
    (.bootZeroedMemory, 0), (.memoryHeatHint, 1), (.epfSetup, 2), (.schedulerAssistSetup, 3),
    (.memoryHeatHintAsync, 4), (.memoryColdDiscardHint, 8),
  ]

  @Test("each bit", arguments: bits)
  func bit(capability: ExtendedCapabilities, position: Int) {
    #expect(capability.rawValue == 1 << UInt64(position))
    var expected = [UInt8](repeating: 0, count: 8)
    expected[position / 8] = 1 << UInt8(position % 8)
    #expect(capability.encode() == expected)
  }

  @Test("little-endian, all 8 bytes, unknown bits kept")
  func encoding() {
    let mask = ExtendedCapabilities(rawValue: 0x0123_4567_89AB_CDEF)
    #expect(mask.encode() == [0xEF, 0xCD, 0xAB, 0x89, 0x67, 0x45, 0x23, 0x01])
  }
}
