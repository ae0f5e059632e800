import Testing

@testable import KVM

@Suite(
  .enabled(if: KVMDevice.isUsable, "needs read-write /dev/kvm"), .serialized,
  .timeLimit(.minutes(10)))
struct ExecutionTests {
  /// OUT 0x10, AL; HLT; HLT
  static let writeAndHalt: [UInt8] = [0xE6, 0x10, 0xF4, 0xF4]

  @Test func haltExitsAndGoesOnBehindIt() throws {
    var guest = try TinyGuest([0xF4, 0xF4])
    #expect(try guest.vcpu.run() == .halt)
    #expect(try guest.vcpu.generalRegisters().rip == UInt64(TinyGuest.codeAddress + 1))
    #expect(try guest.vcpu.run() == .halt)
    #expect(try guest.vcpu.generalRegisters().rip == UInt64(TinyGuest.codeAddress + 2))
  }

  @Test func aTripleFaultShutsDown() throws {
    // UD2
    var guest = try TinyGuest([0x0F, 0x0B], mode: .protected)
    #expect(try guest.vcpu.run() == .shutdown)
  }

  @Test func anInjectedExceptionIsDelivered() throws {
    // HLT, which is not reached: #UD has no handler.
    var guest = try TinyGuest([0xF4], mode: .protected)
    try guest.vcpu.injectException(vector: 6)
    #expect(try guest.vcpu.run() == .shutdown)
  }

  @Test func anExceptionAfterAFinishedExitIsDelivered() throws {
    var guest = try TinyGuest(Self.writeAndHalt, mode: .protected)
    #expect(try guest.vcpu.run() == .portOut(PortAccess(port: 0x10, width: 1, count: 1)))
    try guest.vcpu.finishPendingExit()
    try guest.vcpu.injectException(vector: 6)
    #expect(try guest.vcpu.run() == .shutdown)
  }

  @Test(arguments: [false, true])
  func finishingAnExitKeepsRegisters(synchronizes: Bool) throws {
    var guest = try TinyGuest(Self.writeAndHalt)
    if synchronizes { guest.vcpu.synchronizeRegisters(system: false) }
    try guest.vcpu.setGeneralRegisters(RegisterTests.numbered)
    #expect(try guest.vcpu.run() == .portOut(PortAccess(port: 0x10, width: 1, count: 1)))
    try guest.vcpu.finishPendingExit()
    var expected = RegisterTests.numbered
    // Behind OUT.
    expected.rip += 2
    #expect(try guest.vcpu.generalRegisters() == expected)
    // To the second HLT; an instruction still to be finished would move it on.
    expected.rip += 1
    try guest.vcpu.setGeneralRegisters(expected)
    #expect(try guest.vcpu.run() == .halt)
    #expect(try guest.vcpu.generalRegisters().rip == expected.rip + 1)
  }

  /// KVM may interrupt a string write between items; no exit may get lost then.
  @Test func finishingAStringWriteHandsOverItsFurtherExits() throws {
    // REP OUTSB; HLT
    var guest = try TinyGuest([0xF3, 0x6E, 0xF4])
    guest.memory.store([1, 2, 3], at: 0x2000)
    try guest.restart {
      $0.rsi = 0x2000
      $0.rcx = 3
    }
    var received: [UInt8] = []
    var exit: VCPUExit? = try guest.vcpu.run()
    while exit != .halt {
      if case .portOut = exit { received += guest.vcpu.portOutput() }
      let next = try guest.vcpu.finishPendingExit()
      exit = try next ?? guest.vcpu.run()
    }
    #expect(received == [1, 2, 3])
  }

  @Test func finishingAReadDeliversItsValue() throws {
    // IN AL, 0x10; HLT
    var guest = try TinyGuest([0xE4, 0x10, 0xF4])
    #expect(try guest.vcpu.run() == .portIn(PortAccess(port: 0x10, width: 1, count: 1)))
    guest.vcpu.completePortInput([0x5A])
    try guest.vcpu.finishPendingExit()
    let registers = try guest.vcpu.generalRegisters()
    #expect(registers.rax == 0x5A)
    #expect(registers.rip == UInt64(TinyGuest.codeAddress + 2))
  }
}
