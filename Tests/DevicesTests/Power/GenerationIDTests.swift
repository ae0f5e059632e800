import DeviceKit
import Devices
import TestSupport
import Testing

/// The machine's generation, as its driver reads it.
@Suite(.onVCPUThread) struct GenerationIDTests {
  private static let bytes = (0..<16).map { UInt8($0 + 1) }

  private func read(_ device: GenerationID) -> [UInt8] {
    (0..<16).map { UInt8(truncatingIfNeeded: device.read(offset: $0, width: 1)) }
  }

  @Test func isReadInAnyWidth() {
    let device = GenerationID(Self.bytes)
    #expect(read(device) == Self.bytes)
    #expect(device.read(offset: 8, width: 8) == 0x100F_0E0D_0C0B_0A09)
    #expect(device.read(offset: 14, width: 4) & 0xFFFF == 0x100F)
    device.write(offset: 0, width: 8, value: 0)
    #expect(read(device) == Self.bytes)
  }

  @Test func eachIsAnother() {
    let device = GenerationID(Self.bytes)
    var seen: Set<[UInt8]> = [Self.bytes]
    for _ in 0..<100 {
      device.renew()
      let value = read(device)
      #expect(value == device.value && seen.insert(value).inserted)
      #expect(value[7] >> 4 == 4 && value[8] >> 6 == 2, "\(value)")
    }
    #expect(GenerationID().value != GenerationID().value)
  }

  @Test func isSaved() throws {
    var state = SavedState()
    try state.save(GenerationID(Self.bytes), as: "generation")
    let other = GenerationID()
    try state.restore(other, from: "generation")
    #expect(other.value == Self.bytes)
  }
}
