import Testing

@testable import KVM

@Suite(
  .enabled(if: KVMDevice.isUsable, "needs read-write /dev/kvm"), .serialized,
  .timeLimit(.minutes(10)))
struct MMIOTests {
  static let base: UInt64 = 0xD000_0000

  /// MOV [0x10], AL / AX / EAX; HLT
  static let writes: [(code: [UInt8], width: Int)] = [
    ([0xA2, 0x10, 0x00, 0xF4], 1),
    ([0xA3, 0x10, 0x00, 0xF4], 2),
    ([0x66, 0xA3, 0x10, 0x00, 0xF4], 4),
  ]

  @Test(arguments: writes)
  func aWriteCarriesAddressAndData(code: [UInt8], width: Int) throws {
    var guest = try TinyGuest(code)
    try guest.setDataBase(Self.base)
    try guest.restart { $0.rax = 0x1234_5678 }
    let expected: UInt64 = 0x1234_5678 & .max >> UInt64(64 - 8 * width)
    #expect(
      try guest.vcpu.run()
        == .memoryWrite(address: Self.base + 0x10, byteCount: width, value: expected))
    #expect(try guest.vcpu.run() == .halt)
  }

  /// MOV AL / AX / EAX, [0x10]; HLT
  static let reads: [(code: [UInt8], width: Int, result: UInt64)] = [
    ([0xA0, 0x10, 0x00, 0xF4], 1, 0xFFFF_FFD4),
    ([0xA1, 0x10, 0x00, 0xF4], 2, 0xFFFF_C3D4),
    ([0x66, 0xA1, 0x10, 0x00, 0xF4], 4, 0xA1B2_C3D4),
  ]

  @Test(arguments: reads)
  func aReadIsAnsweredInItsWidth(code: [UInt8], width: Int, result: UInt64) throws {
    var guest = try TinyGuest(code)
    try guest.setDataBase(Self.base)
    try guest.restart { $0.rax = 0xFFFF_FFFF }
    #expect(
      try guest.vcpu.run() == .memoryRead(address: Self.base + 0x10, byteCount: width))
    guest.vcpu.completeMemoryRead(0x9999_9999_A1B2_C3D4)
    #expect(try guest.vcpu.run() == .halt)
    #expect(try guest.vcpu.generalRegisters().rax == result)
  }

  @Test func aReadOnlySlotIsReadButWritesExit() throws {
    // MOV AL, [0x2000]; MOV [0x2001], AL; HLT
    var guest = try TinyGuest([0xA0, 0x00, 0x20, 0xA2, 0x01, 0x20, 0xF4], options: .readOnly)
    guest.memory.store([7, 8], at: 0x2000)
    #expect(try guest.vcpu.run() == .memoryWrite(address: 0x2001, byteCount: 1, value: 7))
    #expect(try guest.vcpu.run() == .halt)
    #expect(guest.memory.loadByte(at: 0x2001) == 8)
  }
}
