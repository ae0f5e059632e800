import Testing

@testable import KVM

@Suite(
  .enabled(if: KVMDevice.isUsable, "needs read-write /dev/kvm"), .serialized,
  .timeLimit(.minutes(10)))
struct MSRExitTests {
  /// RDMSR; HLT
  static let read: [UInt8] = [0x0F, 0x32, 0xF4]
  /// WRMSR; HLT
  static let write: [UInt8] = [0x0F, 0x30, 0xF4]

  /// A guest whose accesses to 0x40000000 to 0x400000FF exit.
  private func guest(_ code: [UInt8]) throws -> TinyGuest {
    var guest = try TinyGuest(code, mode: .protected) { machine in
      try machine.sendMSRExits(for: .filtered)
      try machine.denyMSRs(0x4000_0000...0x4000_00FF)
    }
    try guest.restart {
      $0.rcx = 0x4000_0001
      $0.rdx = 0x1122_3344
      $0.rax = 0x5566_7788
    }
    return guest
  }

  @Test func aReadIsAnsweredInEDXAndEAX() throws {
    var guest = try guest(Self.read)
    #expect(try guest.vcpu.run() == .readMSR(index: 0x4000_0001))
    guest.vcpu.completeMSRRead(0xAABB_CCDD_0102_0304)
    #expect(try guest.vcpu.run() == .halt)
    let registers = try guest.vcpu.generalRegisters()
    #expect(registers.rdx == 0xAABB_CCDD)
    #expect(registers.rax == 0x0102_0304)
  }

  @Test func aWriteCarriesItsValue() throws {
    var guest = try guest(Self.write)
    #expect(
      try guest.vcpu.run() == .writeMSR(index: 0x4000_0001, value: 0x1122_3344_5566_7788))
    guest.vcpu.completeMSRWrite(fault: false)
    #expect(try guest.vcpu.run() == .halt)
  }

  /// Without IDT the #GP is a triple fault.
  @Test func aRefusedReadFaults() throws {
    var guest = try guest(Self.read)
    #expect(try guest.vcpu.run() == .readMSR(index: 0x4000_0001))
    guest.vcpu.completeMSRRead(nil)
    #expect(try guest.vcpu.run() == .shutdown)
  }

  @Test func aRefusedWriteFaults() throws {
    var guest = try guest(Self.write)
    guard case .writeMSR = try guest.vcpu.run() else {
      Issue.record("no exit")
      return
    }
    guest.vcpu.completeMSRWrite(fault: true)
    #expect(try guest.vcpu.run() == .shutdown)
  }

  @Test(arguments: [0x4000_0000, 0x4000_00FF] as [UInt32])
  func theFilterHoldsToItsEnds(index: UInt32) throws {
    var guest = try guest(Self.read)
    try guest.restart { $0.rcx = UInt64(index) }
    #expect(try guest.vcpu.run() == .readMSR(index: index))
  }

  /// 0x40000100, HV_X64_MSR_CRASH_P0, is the first behind the filter; without Hyper-V leaves in
  /// CPUID every KVM refuses it.
  @Test func behindTheFilterNothingExits() throws {
    var guest = try guest(Self.read)
    try guest.restart { $0.rcx = 0x4000_0100 }
    #expect(try guest.vcpu.run() == .shutdown)
  }

  @Test func unknownMSRsExitWithoutAFilter() throws {
    var guest = try TinyGuest(Self.read, mode: .protected) { machine in
      try machine.sendMSRExits(for: .unknown)
    }
    try guest.restart { $0.rcx = 0x4000_1000 }
    #expect(try guest.vcpu.run() == .readMSR(index: 0x4000_1000))
  }

  @Test func withoutExitsADeniedMSRFaults() throws {
    var guest = try TinyGuest(Self.read, mode: .protected) { machine in
      try machine.denyMSRs(0x4000_0000...0x4000_00FF)
    }
    try guest.restart { $0.rcx = 0x4000_0000 }
    #expect(try guest.vcpu.run() == .shutdown)
  }

  @Test func theLargestFilterIsTakenAndALargerOneRefused() throws {
    let machine = try KVMSystem().makeVirtualMachine()
    try machine.denyMSRs(0x4000_0000...0x4000_2FFF)
    #expect(
      throws: KVMError.invalidArgument("filter of 12289 MSRs: the kernel takes at most 12288")
    ) { try machine.denyMSRs(0x4000_0000...0x4000_3000) }
    #expect(throws: KVMError.self) { try machine.denyMSRs(0...UInt32.max) }
  }
}
