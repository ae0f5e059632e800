import HyperVCore
import Testing

@Suite("Bug checks and the meaning of crash parameters")
struct BugCheckTests {
  @Test(
    "names",
    arguments: [
      (0xD1, "DRIVER_IRQL_NOT_LESS_OR_EQUAL"), (0x7B, "INACCESSIBLE_BOOT_DEVICE"),
      (0x127, "PAGE_NOT_ZERO"), (0x2_0001, "HYPERVISOR_ERROR"),
      (0xC000_021A, "STATUS_SYSTEM_PROCESS_TERMINATED"),
      (0x1000_007E, "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED_M"),
      (0x1000_0000, nil), (0, nil), (0x1_0000_00D1, nil), (.max, nil),
    ] as [(UInt64, String?)])
  func names(code: UInt64, name: String?) {
    #expect(BugCheck(rawValue: code).name == name)
  }

  @Test(
    "four meanings for every code, known or not", arguments: [0, 0x0A, 0x50, 0x7E, 0x127, 0x139])
  func four(code: UInt64) {
    #expect(BugCheck(rawValue: code).parameterMeanings.count == 4)
    #expect(
      BugCheck(rawValue: code | 0x1000_0000).parameterMeanings
        == BugCheck(rawValue: code).parameterMeanings)
  }

  @Test("Windows: the code's name, and its own parameters")
  func windows() {
    let report = CrashReport(parameters: [0xD1, 0x1000, 2, 0, 0xFFFF_F800], control: 1 << 63)
    #expect(
      report.parameterMeanings(of: .windows) == [
        "DRIVER_IRQL_NOT_LESS_OR_EQUAL", "address accessed", "IRQL", "0 read, 1 write, 8 execute",
        "address of the code",
      ])
  }

  @Test("Linux: registers, or a message")
  func linux() {
    let plain = CrashReport(parameters: [0, 1, 2, 3, 4], control: 1 << 63)
    #expect(
      plain.parameterMeanings(of: .linux) == ["panic", "guest identity", "RIP", "RAX", "RSP"])
    let oops = CrashReport(parameters: [1, 1, 2, 3, 4], control: 1 << 63)
    #expect(oops.parameterMeanings(of: .linux)[0] == "oops")
    let message = CrashReport(parameters: [0, 0, 0, 3, 4], control: 3 << 62)
    #expect(
      message.parameterMeanings(of: .linux) == ["", "", "", "address of the message", "its length"])
    #expect(message.parameterMeanings(of: .other) == message.parameterMeanings(of: .linux))
    #expect(plain.parameterMeanings(of: .other) == ["", "", "", "", ""])
  }
}
