import Testing

@testable import ACPI

/// ACPI 6.3 §6.4.
struct ResourceDescriptorTests {
  @Test func portsAndMemoryAreEncoded() {
    #expect(
      ResourceDescriptor.io(first: 0x3F8, portCount: 8).bytes
        == [0x47, 1, 0xF8, 0x03, 0xF8, 0x03, 1, 8])
    #expect(
      ResourceDescriptor.memory32Fixed(first: 0xB000_0000, byteCount: 0x1000_0000).bytes
        == [0x86, 9, 0, 1, 0, 0, 0, 0xB0, 0, 0, 0, 0x10])
    #expect(ResourceDescriptor.end.bytes == [0x79, 0])
  }

  @Test func windowsAreEncoded() {
    #expect(
      ResourceDescriptor.wordBusNumber(0...0xFF).bytes
        == [0x88, 13, 0, 2, 0x0C, 0, 0, 0, 0, 0, 0xFF, 0, 0, 0, 0, 1])
    #expect(
      ResourceDescriptor.wordIO(0xD00...0xFFFF).bytes
        == [0x88, 13, 0, 1, 0x0C, 3, 0, 0, 0, 0x0D, 0xFF, 0xFF, 0, 0, 0, 0xF3])
    #expect(
      ResourceDescriptor.dWordMemory(0xC000_0000...0xFBFF_FFFF).bytes
        == [
          0x87, 23, 0, 0, 0x0C, 1, 0, 0, 0, 0, 0, 0, 0, 0xC0, 0xFF, 0xFF, 0xFF, 0xFB, 0, 0, 0, 0,
          0, 0, 0, 0x3C,
        ])
    let wide = ResourceDescriptor.qWordMemory(0x1_0000_0000...0x1_FFFF_FFFF).bytes
    #expect(wide.count == 46)
    #expect(Array(wide[..<6]) == [0x8A, 43, 0, 0, 0x0C, 1])
    #expect(
      stride(from: 6, to: 46, by: 8).map { wide.number(at: $0, byteCount: 8) }
        == [0, 0x1_0000_0000, 0x1_FFFF_FFFF, 0, 0x1_0000_0000])
  }

  @Test func interruptsAreEncoded() {
    #expect(ResourceDescriptor.irqNoFlags(0).bytes == [0x22, 1, 0])
    #expect(ResourceDescriptor.irqNoFlags(12).bytes == [0x22, 0, 0x10])
    #expect(
      ResourceDescriptor.irq(9, .level, .activeLow, isShared: true).bytes == [0x23, 0, 2, 0x18])
    #expect(
      ResourceDescriptor.irq(4, .edge, .activeHigh, isShared: false).bytes == [0x23, 0x10, 0, 1])
    #expect(
      ResourceDescriptor.extendedInterrupt(16, .level, .activeLow, isShared: true).bytes
        == [0x89, 6, 0, 0x0D, 1, 16, 0, 0, 0])
    #expect(
      ResourceDescriptor.extendedInterrupt(0x1_0203, .edge, .activeHigh, isShared: false).bytes
        == [0x89, 6, 0, 0x03, 1, 3, 2, 1, 0])
  }

  @Test func wrongDescriptorsTrap() async {
    await #expect(processExitsWith: .failure) { _ = ResourceDescriptor.irqNoFlags(16) }
    await #expect(processExitsWith: .failure) { _ = ResourceDescriptor.wordIO(0...0xFFFF) }
  }
}
