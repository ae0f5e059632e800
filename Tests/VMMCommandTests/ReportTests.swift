import FoundationEssentials
import Testing

@testable import VMMCommand

@Suite struct ReportTests {
  static var told: DemoReport {
    DemoReport(
      hyperv: "kernel", offersZeroedMemory: true, vcpuCount: 2, memoryBytes: 1 << 30,
      backing: "memfd", preallocated: false, writtenPageSource: "the dirty log",
      granularityBytes: 2 << 20, capabilities: 1,
      reportedRanges: [
        ReportedRange(startPage: 1024, pageCount: 1024),
        ReportedRange(startPage: 2560, pageCount: 259_584),
      ],
      reportedBytes: 260_608 << 12,
      memory: MemoryTotals(
        reportedBytes: 260_608 << 12, claimedBytes: 0, guestWrittenBytes: 2 << 20,
        vmmTouchedBytes: 4 << 20, zeroNotReportedBytes: 0, unknownBytes: 0),
      unreported: [
        UnreportedRange(startPage: 0, pageCount: 1024, reason: .touchedByVMM),
        UnreportedRange(startPage: 2048, pageCount: 512, reason: .writtenByGuest),
      ],
      unreportedOmitted: 0, guestZeroedBytes: 6 << 20, nonZeroReportedPages: 0,
      residentBytes: 13_002_342, vcpuTicks: .init(user: 2, system: 6), ticksPerSecond: 100,
      elapsedSeconds: 0.1249)
  }

  static var notTold: DemoReport {
    var report = told
    report.offersZeroedMemory = false
    report.capabilities = 0
    report.reportedRanges = []
    report.reportedBytes = 0
    report.guestZeroedBytes = 1 << 30
    report.residentBytes = (1 << 30) + (1 << 20)
    report.vcpuTicks = .init(user: 18, system: 94)
    report.elapsedSeconds = 0.61
    return report
  }

  private static let demoKeys: Set<String> = [
    "hyperv", "memoryBytes", "granularityBytes", "capabilities", "reportedRanges",
    "reportedBytes", "guestZeroedBytes", "nonZeroReportedPages", "residentBytes", "vcpuTicks",
    "elapsedSeconds", "vcpuCount", "backing", "preallocated", "writtenPageSource",
    "offersZeroedMemory", "ticksPerSecond", "memory", "unreported", "unreportedOmitted",
  ]

  @Test func demoJSONHasTheSpecifiedKeys() throws {
    let json = try ReportJSON.text(Self.told)
    let object = try JSON(parsing: json)
    #expect(object.keys == Self.demoKeys)
    #expect(object["hyperv"] == .string("kernel"))
    #expect(
      object["reportedRanges"]?[1] == ["startPage": .number(2560), "pageCount": .number(259_584)])
    #expect(object["vcpuTicks"] == ["user": .number(2), "system": .number(6)])
    #expect(object["nonZeroReportedPages"] == .number(0))
    #expect(
      object["memory"]?.keys == [
        "reportedBytes", "claimedBytes", "guestWrittenBytes", "vmmTouchedBytes",
        "zeroNotReportedBytes", "unknownBytes",
      ])
    #expect(
      object["unreported"]?[0] == [
        "startPage": .number(0), "pageCount": .number(1024), "reason": .string("touched-by-vmm"),
      ])
    #expect(try JSONDecoder().decode(DemoReport.self, from: Data(json.utf8)) == Self.told)
  }

  @Test func comparisonJSONHoldsBothRuns() throws {
    let json = try ReportJSON.text(DemoComparison(with: Self.told, without: Self.notTold))
    let object = try JSON(parsing: json)
    #expect(object.keys == ["with", "without", "memoryBytes", "hyperv"])
    #expect(object["with"]?.keys == Self.demoKeys)
    #expect(object["without"]?.keys == Self.demoKeys)
    #expect(object["memoryBytes"] == .number(1_073_741_824))
    #expect(object["without"]?["reportedRanges"] == .array([]))
  }

  @Test func jsonIsSortedReadableAndEndsWithALineBreak() throws {
    var report = Self.told
    report.backing = "a/b"
    report.capabilities = .max
    let json = try ReportJSON.text(report)
    let keys = json.split(separator: "\n").filter { $0.hasPrefix("  \"") }
    #expect(keys.count == Self.demoKeys.count && keys == keys.sorted())
    #expect(json.contains("\"a/b\""))
    #expect(json.contains("18446744073709551615"))
    #expect(json.hasSuffix("}\n"))
  }

  @Test func demoText() {
    #expect(
      Self.told.text == """
        A 1 GiB guest with 2 vCPUs, memfd memory and the kernel's Hyper-V interface,
        tracked in blocks of 2 MiB by the dirty log

          reported as zero      1018 MiB  99.4 %  in 2 ranges
          zeroed by the guest      6 MiB   0.6 %
          resident on the host  12.4 MiB   1.2 %
          vCPU time               0.08 s          0.02 s user, 0.06 s system
          elapsed                 0.12 s

        Every one of the 260,608 reported pages was read by the guest and is zero.

        """)
  }

  @Test func comparisonText() {
    #expect(
      DemoComparison(with: Self.told, without: Self.notTold).text == """
        A 1 GiB guest with 2 vCPUs, memfd memory and the kernel's Hyper-V interface,
        tracked in blocks of 2 MiB by the dirty log,
        run with and without boot-zeroed memory

                                    with  without  with, compared
          --------------------  --------  -------  ----------------
          reported as zero      1018 MiB  nothing  99.4 % of memory
          zeroed by the guest      6 MiB    1 GiB  171x less
          resident on the host  12.4 MiB  1.0 GiB  83x less
          vCPU time               0.08 s   1.12 s  14x less
          elapsed                 0.12 s   0.61 s  4.9x less

        Every one of the 260,608 reported pages was read by the guest and is zero.

        """)
  }

  @Test func machineText() {
    var report = Self.told
    report.vcpuCount = 1
    report.hyperv = "userspace"
    report.preallocated = true
    #expect(
      report.machineText == """
        A 1 GiB guest with 1 vCPU, preallocated memfd memory and a userspace Hyper-V interface,
        tracked in blocks of 2 MiB by the dirty log
        """)
  }

  @Test func verdicts() {
    var report = Self.told
    #expect(
      report.verdict
        == "Every one of the 260,608 reported pages was read by the guest and is zero.")
    report.nonZeroReportedPages = 3
    #expect(
      report.verdict == """
        FAILED: 3 of the 260,608 pages reported as zero are NOT zero.
        A guest that believed the report would have used memory with old contents.
        """)
    #expect(!report.isTruthful)
    let broken = DemoComparison(with: report, without: Self.notTold)
    #expect(broken.text.contains("FAILED: 3 of"))
    #expect(!broken.isTruthful)
    report.nonZeroReportedPages = 0
    report.reportedBytes = 0
    #expect(
      report.verdict
        == "No page was reported as zero, so the guest had to zero all of its memory.")
    #expect(
      Self.notTold.verdict
        == "Nothing was reported as zero, so the guest had to zero all of its memory.")
  }

  @Test func aFailureWithoutTheFeatureIsShownToo() {
    var broken = Self.notTold
    broken.nonZeroReportedPages = 1
    let comparison = DemoComparison(with: Self.told, without: broken)
    #expect(!comparison.isTruthful)
    #expect(comparison.text.contains("FAILED"))
  }

  @Test(arguments: [
    (1.0, 1.0, "the same"), (0, 0, "the same"), (0, 5, "none left"), (5, 0, "more"),
    (12.4, 1025, "83x less"), (1, 2.5, "2.5x less"), (3, 1, "3.0x more"),
    (1, 1.01, "about the same"),
  ])
  func differences(with: Double, without: Double, text: String) {
    #expect(DemoComparison.difference(with, without) == text)
  }

  @Test func noTextIsWiderThanATerminalOrBeyondASCII() {
    let texts = [
      Self.told.text, Self.notTold.text,
      DemoComparison(with: Self.told, without: Self.notTold).text,
    ]
    for line in texts.joined().split(separator: "\n") {
      #expect(line.count <= 80, "\(line)")
      #expect(line.utf8.allSatisfy { $0 < 128 } && line.last != " ", "\(line)")
    }
  }
}
