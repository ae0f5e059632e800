import GuestMemory
import KVM
import Testing

@testable import VMM

/// How much RAM a processor can address.
@Suite struct AddressWidthTests {
  private func message(bitCount: UInt8, mebibytes: UInt64) throws -> String? {
    let layout = try GuestMemoryLayout(ramByteCount: mebibytes << 20)
    do throws(MachineError) {
      try AddressWidth(bitCount: bitCount).check(layout)
      return nil
    } catch {
      return error.description
    }
  }

  /// Above the hole, from 2 GiB to 4 GiB, RAM ends 2 GiB later than it is large.
  @Test(
    arguments: [
      (36, 62 << 10, true), (36, (62 << 10) + 1, false), (39, 510 << 10, true),
      (39, 511 << 10, false), (40, 1022 << 10, true), (40, 2 << 20, false), (46, 4 << 20, true),
      (52, 4 << 20, true), (255, 4 << 20, true), (32, 2048, true), (32, 2049, false),
      (31, 2048, true), (30, 1024, true), (30, 1025, false),
    ] as [(UInt8, UInt64, Bool)])
  func limits(bitCount: UInt8, mebibytes: UInt64, fits: Bool) throws {
    #expect((try message(bitCount: bitCount, mebibytes: mebibytes) == nil) == fits)
  }

  @Test func theMessageSaysHowMuchFits() throws {
    #expect(
      try message(bitCount: 40, mebibytes: 2 << 20)
        == "2097152 MiB of memory do not fit into the 40 bits of a physical address that this "
        + "processor has; give at most 1046528 MiB (1022G)")
  }

  @Test func theLeaf() {
    func width(_ eax: UInt32?) -> UInt8 {
      let entries = eax.map { [CPUIDEntry(function: 0x8000_0008, eax: $0, ebx: 0, ecx: 0, edx: 0)] }
      return AddressWidth(entries ?? []).bitCount
    }
    #expect(width(0x0030_3028) == 40)
    #expect(width(nil) == 36)
  }
}
