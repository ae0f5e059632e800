import Testing

@testable import VMMCommand

@Suite struct CheckReportTests {
  private let report = CheckReport(
    findings: [
      .init(name: "/dev/kvm", status: .available, detail: "API version 12"),
      .init(
        name: "KVM_CAP_HYPERV_ENFORCE_CPUID", status: .missing, detail: "",
        cure: "use Linux 5.13 or newer"),
      .init(
        name: "huge pages", status: .unusable, detail: "none reserved",
        cure: "write a number to /proc/sys/vm/nr_hugepages"),
    ],
    conclusions: .init(
      hyperv: "userspace", writtenPageSource: "dirty log",
      sandbox: "no new privileges, seccomp; no Landlock", canRunGuests: true))

  @Test func text() {
    #expect(
      report.text == """
          /dev/kvm                      available  API version 12
          KVM_CAP_HYPERV_ENFORCE_CPUID  missing
                                        -> use Linux 5.13 or newer
          huge pages                    unusable   none reserved
                                        -> write a number to /proc/sys/vm/nr_hugepages

        This host can run guests. A guest started now would get:

          Hyper-V interface       userspace
          written pages known by  dirty log
          sandbox                 no new privileges, seccomp; no Landlock

        """)
  }

  @Test func textOfAHostThatCannot() {
    var report = report
    report.conclusions.canRunGuests = false
    #expect(
      report.text.hasSuffix("\n\nThis host cannot run a guest; see the lines marked -> above.\n"))
  }

  @Test func json() throws {
    let object = try JSON(parsing: ReportJSON.text(report))
    #expect(object.keys == ["findings", "conclusions"])
    #expect(object["findings"]?[0]?.keys == ["name", "status", "detail"])
    #expect(object["findings"]?[1]?["status"] == .string("missing"))
    #expect(object["findings"]?[2]?["cure"] != nil)
    #expect(
      object["conclusions"] == [
        "hyperv": .string("userspace"), "writtenPageSource": .string("dirty log"),
        "sandbox": .string("no new privileges, seccomp; no Landlock"),
        "canRunGuests": .bool(true),
      ])
  }
}
