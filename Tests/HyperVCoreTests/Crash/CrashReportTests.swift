import HyperVCore
import TestSupport
import Testing

@Suite("Guest crash MSRs, TLFS Guest Crash Enlightenment", .onVCPUThread)
struct CrashReportTests {
  @Test("parameters are read back; the control register reads as what is supported")
  func registers() {
    var fixture = MSRFixture(.crash)
    let registers: [SyntheticMSR] = [.crashP0, .crashP1, .crashP2, .crashP3, .crashP4]
    for (index, msr) in registers.enumerated() {
      #expect(fixture.write(msr, UInt64(index) + 0x7E) == .done([]))
    }
    for (index, msr) in registers.enumerated() {
      #expect(fixture.read(msr) == .value(UInt64(index) + 0x7E))
    }
    #expect(fixture.write(.crashControl, 0) == .done([]))
    #expect(fixture.read(.crashControl) == .value(0xC000_0000_0000_0000))
  }

  @Test("only CrashNotify, bit 63, reports", arguments: 0..<64)
  func notify(bit: Int) {
    var fixture = MSRFixture(.crash)
    _ = fixture.write(.crashP0, 0xDEAD)
    let control: UInt64 = 1 << UInt64(bit)
    let report = CrashReport(parameters: [0xDEAD, 0, 0, 0, 0], control: control)
    #expect(
      fixture.write(.crashControl, control) == .done(bit == 63 ? [.guestCrashed(report)] : []))
    #expect(report.notifies == (bit == 63))
    #expect(report.writesNoDump == (bit == 61))
    #expect(report.preOSID == ((58...60).contains(bit) ? 1 << (bit - 58) : 0))
    #expect(report.message == nil)
  }

  @Test(
    "message: P3 is the address, P4 the length in bytes, 1 to 4096",
    arguments: [
      (0x5000, 1, true), (0x5000, 4096, true), (0x5FFF, 4096, true), (0, 5, true),
      (0x5000, 0, false), (0x5000, 4097, false), (0x5000, .max, false),
      (.max, 1, true), (.max, 2, false), (.max - 4095, 4096, true), (.max - 4094, 4096, false),
    ] as [(UInt64, UInt64, Bool)])
  func message(address: UInt64, length: UInt64, isGood: Bool) {
    let parameters: [UInt64] = [1, 2, 3, address, length]
    let with = CrashReport(parameters: parameters, control: 3 << 62)
    #expect(with.parameters == parameters)
    #expect((with.message != nil) == isGood)
    if isGood {
      #expect(with.message?.address.rawValue == address)
      #expect(with.message?.byteCount == Int(length))
    }
    #expect(CrashReport(parameters: parameters, control: 1 << 63).message == nil)
  }

  @Test("always five parameters", arguments: [0, 1, 4, 5, 6, 9])
  func fiveParameters(count: Int) {
    let given = (0..<count).map { UInt64($0) + 1 }
    let report = CrashReport(parameters: given, control: 3 << 62)
    #expect(report.parameters.count == 5)
    #expect(report.parameters == Array((given + [0, 0, 0, 0, 0])[..<5]))
  }
}
