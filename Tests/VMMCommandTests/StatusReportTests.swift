import Bytes
import Devices
import KVM
import Testing

@testable import Devices
@testable import VMM
@testable import VMMCommand

/// The screen that says what a machine is doing.
@Suite struct StatusReportTests {
  private func processor(
    _ id: UInt32, _ state: MachineStatus.State, _ counts: [UInt64]
  ) -> MachineStatus.Processor {
    MachineStatus.Processor(id: id, state: state, exitCounts: counts)
  }

  private func snapshot(
    _ activity: VCPUActivity, interrupts: Bool = true, level: UInt8 = 0
  ) -> MachineStatus.State {
    .known(
      VCPUSnapshot(
        instructionPointer: 0xFFFF_FFFF_8100_1234, privilegeLevel: level, pageTables: 0x1000,
        takesInterrupts: interrupts, activity: activity))
  }

  private func text(
    _ processors: [MachineStatus.Processor], disks: [NVMeActivity?] = [],
    sata: [AHCIActivity]? = [], serial: UARTActivity? = nil, balloon: BalloonActivity? = nil,
    vmbus: VMBusActivity? = nil, after earlier: [MachineStatus.Processor]? = nil
  ) -> String {
    func status(_ processors: [MachineStatus.Processor]) -> MachineStatus {
      MachineStatus(
        processors: processors, disks: disks, sata: sata, serialPort: serial, balloon: balloon,
        vmbus: vmbus, isTracking: true)
    }
    return StatusReport(
      status(processors), after: earlier.map { status($0) }, elapsedSeconds: 2.5
    ).text
  }

  @Test func processorsAndTheirExitsSinceTheLastReport() {
    let counts: [UInt64] = [1, 2, 30, 40, 500, 600, 7000, 8, 9]
    let before: [UInt64] = [1, 1, 10, 10, 100, 100, 1000, 8, 0]
    let zero = [UInt64](repeating: 0, count: 9)
    let processors = [
      processor(0, snapshot(.runnable, level: 3), counts),
      processor(1, snapshot(.runnable, interrupts: false), zero),
      processor(2, snapshot(.halted), zero),
      processor(3, snapshot(.halted, interrupts: false), zero),
      processor(4, snapshot(.uninitialized), zero),
      processor(5, .busy(.port(0x3F8)), zero), processor(6, .busy(.memory(0xC000_1000)), zero),
      processor(7, .notStarted, zero), processor(8, .absent, zero),
    ]
    let earlier = [processor(0, .absent, before)] + processors.dropFirst()
    #expect(
      text(processors, after: earlier)
        == """
        vmm-run: vCPUs, and their exits since 2.50 s ago
                                                  RIP  CPL     CR3  in/out  memory  MSR   call  kick  other
          0  runs                  0xffffffff81001234    3  0x1000       1      50  900  6,000     0      9
          1  runs, no interrupts   0xffffffff81001234    0  0x1000       0       0    0      0     0      0
          2  halted                0xffffffff81001234    0  0x1000       0       0    0      0     0      0
          3  halted for good       0xffffffff81001234    0  0x1000       0       0    0      0     0      0
          4  not started                                                 0       0    0      0     0      0
          5  busy with port 0x3f8                                        0       0    0      0     0      0
          6  busy with memory 0xc0001000                                 0       0    0      0     0      0
          7  not started                                                 0       0    0      0     0      0
          8  no thread                                                   0       0    0      0     0      0
          guest writes are tracked

        """.replacingColumns(like: text(processors, after: earlier)))
    #expect(text(processors).contains("exits since the start, 2.50 s ago\n"))
  }

  private func queue(
    _ identifier: Int, head: UInt32 = 5, tail: UInt32 = 5, shadow: UInt32? = nil,
    inFlight: Int = 0, untaken: UInt32 = 0, waits: Bool = false
  ) -> NVMeActivity.Queue {
    NVMeActivity.Queue(
      identifier: identifier, entryCount: 8, submissionHead: head, submissionTail: tail,
      shadowTail: shadow, inFlightCount: inFlight, completionHead: 0, completionTail: untaken,
      untaken: untaken, waitsForRoom: waits)
  }

  @Test func queuesThatDoSomething() {
    let disk = NVMeActivity(
      isReady: true, isFailed: false, inFlightCount: 3,
      queues: [
        queue(0), queue(1, head: 6, tail: 1, inFlight: 2), queue(2), queue(3, shadow: 7),
        queue(4, untaken: 7, waits: true), queue(5, shadow: 5),
      ])
    let shown = text(
      [], disks: [disk, nil],
      serial: UARTActivity(
        receivedByteCount: 1, enabledInterrupts: 5, isInterrupting: true))
    let lines = shown.split(separator: "\n").map { line in
      line.split(separator: " ").joined(separator: " ")
    }
    #expect(
      lines.dropFirst(2) == [
        "queue to fetch at/of in flight to take", "disk0 ready", "admin 0 5/8 0 0", "1 3 6/8 2 0",
        "3 0 5/8 0 0 shadow doorbell at 7, seen 5",
        "4 0 5/8 0 7 waits for room among completions", "2 more idle",
        "disk1 busy: another thread has its lock",
        "serial 1 byte unread, IER 0x5, interrupt raised", "guest writes are tracked",
      ])
  }

  @Test func whatABalloonGave() {
    func line(_ change: (inout BalloonActivity) -> Void) -> String? {
      var activity = BalloonActivity(targetPageCount: 1 << 15)
      change(&activity)
      return text([], balloon: activity).split(separator: "\n").map(String.init).first {
        $0.hasPrefix("  balloon ")
      }
    }
    #expect(line { _ in } == "  balloon no driver, 0 bytes given back")
    #expect(
      line { activity in
        activity.hasDriver = true
        activity.actualPageCount = 1 << 14
        activity.givenBackByteCount = 300 << 20
        activity.keptPageCount = 2
        activity.statistics = BalloonStatistics(
          [4, 0] + (UInt64(512) << 20).littleEndianBytes + [5, 0]
            + (UInt64(1) << 30).littleEndianBytes)
        activity.statisticsAgeSeconds = 1.5
      }
        == "  balloon 64 MiB of 128 MiB, 300 MiB given back, 8 KiB left, "
        + "512 MiB of 1 GiB free in the guest, 1.50 s ago")
    #expect(
      line { activity in
        activity.hasDriver = true
        activity.statistics = BalloonStatistics(available: 300 << 20)
      }
        == "  balloon 0 bytes of 128 MiB, 0 bytes given back, "
        + "300 MiB available in the guest, 0.00 s ago")
    #expect(
      line { activity in
        activity.hasDriver = true
        (activity.addedPageCount, activity.addedTargetPageCount) = (1 << 15, 1 << 16)
      } == "  balloon 0 bytes of 128 MiB, 0 bytes given back, 128 MiB of 256 MiB added")
  }

  @Test func whatVMBusDoes() {
    func line(_ activity: VMBusActivity) -> String? {
      text([], vmbus: activity).split(separator: "\n").map(String.init)
        .first { $0.contains("VMBus") }
    }
    #expect(
      line(VMBusActivity(openChannelCount: 0, heartbeat: nil, canShutDown: false))
        == "  VMBus   0 devices in use, shutdown is not heard")
    #expect(
      line(
        VMBusActivity(
          openChannelCount: 1, heartbeat: .init(answerCount: 12, missedCount: 0),
          canShutDown: true))
        == "  VMBus   1 device in use, shutdown is heard, heartbeat 12")
    #expect(
      line(
        VMBusActivity(
          openChannelCount: 4, heartbeat: .init(answerCount: 12, missedCount: 3),
          canShutDown: true))
        == "  VMBus   4 devices in use, shutdown is heard, no heartbeat since 12, 3 missed")
  }
}

@Suite struct StatusReportSATATests {
  private func lines(_ sata: [AHCIActivity]?) -> [String] {
    let text = StatusReport(
      MachineStatus(
        processors: [], disks: [], sata: sata, serialPort: nil, balloon: nil, vmbus: nil,
        isTracking: true),
      after: nil, elapsedSeconds: 1
    ).text
    return text.split(separator: "\n").dropFirst(2).map {
      $0.split(separator: " ").joined(separator: " ")
    }
  }

  private func port(
    _ device: AHCIActivity.Device?, isStarted: Bool = true, isHalted: Bool = false,
    issued: Int = 0, isBusy: Bool = false, isInterrupting: Bool = false
  ) -> AHCIActivity {
    AHCIActivity(
      device: device, isStarted: isStarted, isHalted: isHalted, issuedCount: issued,
      isBusy: isBusy, isInterrupting: isInterrupting)
  }

  private func drive(
    _ hasMedium: Bool, isOpen: Bool = false, isLocked: Bool = false, isChangeAwaited: Bool = false
  ) -> AHCIActivity.Device {
    .opticalDrive(
      OpticalDriveActivity(
        hasMedium: hasMedium, isOpen: isOpen, isLocked: isLocked,
        isChangeAwaited: isChangeAwaited))
  }

  @Test func drivesAndDisksOfTheAdapter() {
    #expect(
      lines([
        port(drive(true, isLocked: true, isChangeAwaited: true)),
        port(drive(false, isOpen: true), isStarted: false),
        port(.disk, issued: 3, isBusy: true), port(.disk, isHalted: true, issued: 1),
        port(.disk, isInterrupting: true), port(nil),
      ]) == [
        "issued", "sata0 ready 0 CD drive, a medium is in, locked, asked to eject",
        "sata1 not started 0 CD drive, empty, open", "sata2 a command runs 3 disk",
        "sata3 stopped by an error 1 disk", "sata4 ready 0 disk, interrupt not taken",
        "sata5 ready 0 CD drive, busy: another thread has its lock", "guest writes are tracked",
      ])
    #expect(
      lines(nil) == ["sata busy: another thread has its lock", "guest writes are tracked"])
    #expect(lines([]) == ["guest writes are tracked"])
  }
}

extension String {
  /// The same words; how wide columns are is `TextTable`'s matter.
  fileprivate func replacingColumns(like other: String) -> String {
    func words(_ text: String) -> [[Substring]] {
      text.split(separator: "\n", omittingEmptySubsequences: false).map { $0.split(separator: " ") }
    }
    return words(self) == words(other) ? other : self
  }
}
