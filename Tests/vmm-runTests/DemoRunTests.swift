import KVM
import Testing

@testable import vmm_run

/// The demo guest on a real virtual machine, on every backing and with every number of vCPUs.
@Suite(
  .enabled(if: (try? KVMSystem()) != nil, "needs read-write /dev/kvm"), .serialized,
  .timeLimit(.minutes(5)))
struct DemoRunTests {
  private static let memory = ByteCount.mebi(64)

  private func run(
    offersZeroedMemory: Bool = true, _ configure: (inout MachineOptions) -> Void = { _ in }
  ) throws -> DemoReport {
    var machine = MachineOptions(memory: Self.memory)
    machine.hyperV = .userspace
    configure(&machine)
    let run = DemoRun(
      DemoOptions(machine: machine), offersZeroedMemory: offersZeroedMemory, trace: nil)
    return try run.run()
  }

  @Test(arguments: [BackingName.anonymous, .memfd], [false, true])
  func toldTheTruth(backing: BackingName, preallocates: Bool) throws {
    let report = try run {
      $0.backing = backing
      $0.preallocates = preallocates
    }
    #expect(report.nonZeroReportedPages == 0)
    #expect(report.capabilities == 1)
    #expect(report.reportedBytes > Self.memory.bytes * 90 / 100)
    #expect(report.guestZeroedBytes + report.reportedBytes >= Self.memory.bytes * 98 / 100)
    #expect(report.reportedRanges.count <= 255)
    #expect(preallocates == (report.residentBytes == Self.memory.bytes))
  }

  @Test(arguments: 1...4)
  func vcpusShareTheZeroing(count: Int) throws {
    let told = try run { $0.cpuCount = count }
    let notTold = try run(offersZeroedMemory: false) { $0.cpuCount = count }
    #expect(told.nonZeroReportedPages == 0)
    #expect(notTold.reportedRanges.isEmpty)
    #expect(notTold.guestZeroedBytes >= Self.memory.bytes * 98 / 100)
    #expect(told.guestZeroedBytes < notTold.guestZeroedBytes / 4)
  }

  @Test(arguments: [ByteCount.kibi(4), .mebi(2), .mebi(32)])
  func everyGranularityIsTruthful(granularity: ByteCount) throws {
    let report = try run { $0.granularity = granularity }
    #expect(report.nonZeroReportedPages == 0)
    #expect(report.granularityBytes == granularity.bytes)
    // The VMM touches only the first megabytes.
    #expect(report.reportedBytes >= (Self.memory.bytes - granularity.bytes) * 90 / 100)
  }

  @Test func stoppingEndsTheRun() throws {
    let run = DemoRun(
      DemoOptions(machine: MachineOptions(memory: Self.memory)), offersZeroedMemory: true,
      trace: nil)
    run.stop()
    #expect(throws: DemoFailure.self) { try run.run() }
  }

  @Test func ticksAreReadBehindTheName() {
    let line = "12 (a b) c) R 1 2 3 4 5 6 7 8 9 10 111 222 0 0 20 0"
    #expect(ThreadTicks.parse(line) == DemoReport.VCPUTicks(user: 111, system: 222))
    #expect(ThreadTicks.parse("12 (short) R 1") == nil)
  }
}
