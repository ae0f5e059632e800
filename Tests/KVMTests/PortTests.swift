import Testing

@testable import KVM

@Suite(
  .enabled(if: KVMDevice.isUsable, "needs read-write /dev/kvm"), .serialized,
  .timeLimit(.minutes(10)))
struct PortTests {
  /// OUT 0x42, AL / AX / EAX; HLT
  static let writes: [(code: [UInt8], width: Int, value: UInt32)] = [
    ([0xE6, 0x42, 0xF4], 1, 0x78),
    ([0xE7, 0x42, 0xF4], 2, 0x5678),
    ([0x66, 0xE7, 0x42, 0xF4], 4, 0x1234_5678),
  ]

  @Test(arguments: writes)
  func aWriteCarriesItsWidthAndValue(code: [UInt8], width: Int, value: UInt32) throws {
    var guest = try TinyGuest(code)
    try guest.restart { $0.rax = 0xAAAA_BBBB_1234_5678 }
    #expect(
      try guest.vcpu.run() == .portOut(PortAccess(port: 0x42, width: width, count: 1)))
    #expect(guest.vcpu.portOutputValue() == value)
    let bytes: [UInt8] = [0x78, 0x56, 0x34, 0x12]
    #expect(guest.vcpu.portOutput() == Array(bytes.prefix(width)))
    #expect(try guest.vcpu.run() == .halt)
  }

  @Test func aNarrowWriteHasNothingOfAWiderOneBefore() throws {
    // OUT 0x42, EAX; OUT 0x42, AX; OUT 0x42, AL; HLT
    var guest = try TinyGuest([0x66, 0xE7, 0x42, 0xE7, 0x42, 0xE6, 0x42, 0xF4])
    try guest.restart { $0.rax = 0x1234_5678 }
    for (width, value) in [(4, 0x1234_5678), (2, 0x5678), (1, 0x78)] as [(Int, UInt32)] {
      #expect(
        try guest.vcpu.run() == .portOut(PortAccess(port: 0x42, width: width, count: 1)))
      #expect(guest.vcpu.portOutputValue() == value)
    }
  }

  @Test func aPortAbove255ComesFromDX() throws {
    // OUT DX, AL; HLT
    var guest = try TinyGuest([0xEE, 0xF4])
    try guest.restart {
      $0.rdx = 0xFFFF
      $0.rax = 9
    }
    #expect(try guest.vcpu.run() == .portOut(PortAccess(port: 0xFFFF, width: 1, count: 1)))
    #expect(guest.vcpu.portOutputValue() == 9)
  }

  /// IN AL / AX / EAX, 0x42; HLT
  static let reads: [(code: [UInt8], width: Int, result: UInt64)] = [
    ([0xE4, 0x42, 0xF4], 1, 0xFFFF_FFD4),
    ([0xE5, 0x42, 0xF4], 2, 0xFFFF_C3D4),
    ([0x66, 0xE5, 0x42, 0xF4], 4, 0xA1B2_C3D4),
  ]

  @Test(arguments: reads, [false, true])
  func aReadIsAnsweredInItsWidth(
    read: (code: [UInt8], width: Int, result: UInt64), asValue: Bool
  ) throws {
    var guest = try TinyGuest(read.code)
    try guest.restart { $0.rax = 0xFFFF_FFFF }
    #expect(
      try guest.vcpu.run() == .portIn(PortAccess(port: 0x42, width: read.width, count: 1)))
    let bytes: [UInt8] = [0xD4, 0xC3, 0xB2, 0xA1]
    if asValue {
      guest.vcpu.completePortInput(value: 0xA1B2_C3D4)
    } else {
      guest.vcpu.completePortInput(Array(bytes.prefix(read.width)))
    }
    #expect(try guest.vcpu.run() == .halt)
    #expect(try guest.vcpu.generalRegisters().rax == read.result)
  }

  /// KVM may hand a string over whole or item by item.
  @Test(arguments: [(1, [0xF3, 0x6E, 0xF4]), (2, [0xF3, 0x6F, 0xF4])] as [(Int, [UInt8])])
  func aStringWriteArrivesWhole(width: Int, code: [UInt8]) throws {
    // REP OUTSB / OUTSW; HLT
    var guest = try TinyGuest(code)
    let text = Array("zeroed".utf8)
    guest.memory.store(text, at: 0x2000)
    try guest.restart {
      $0.rsi = 0x2000
      $0.rcx = UInt64(text.count / width)
      $0.rdx = 0x402
    }
    var received: [UInt8] = []
    while case .portOut(let access) = try guest.vcpu.run() {
      #expect(access.port == 0x402)
      #expect(access.width == width)
      let bytes = guest.vcpu.portOutput()
      #expect(bytes.count == access.width * access.count)
      received += bytes
    }
    #expect(received == text)
    #expect(try guest.vcpu.generalRegisters().rip == UInt64(TinyGuest.codeAddress + 3))
  }

  @Test func aStringReadIsAnsweredWhole() throws {
    // REP INSB; HLT
    var guest = try TinyGuest([0xF3, 0x6C, 0xF4])
    try guest.restart {
      $0.rdi = 0x2000
      $0.rcx = 5
      $0.rdx = 0x402
    }
    var next: UInt8 = 1
    while case .portIn(let access) = try guest.vcpu.run() {
      #expect(access.width == 1)
      let bytes = (0..<access.count).map { next + UInt8($0) }
      guest.vcpu.completePortInput(bytes)
      next += UInt8(access.count)
    }
    #expect((0..<6).map { guest.memory.loadByte(at: 0x2000 + $0) } == [1, 2, 3, 4, 5, 0])
  }
}
