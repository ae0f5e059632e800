import DeviceKit
import Devices
import Glibc
import GuestMemory
import KVM
import MachineSpecification
import Synchronization
import Testing
import VMM

/// What a machine says about its vCPUs while they run, wait, or hang.
@Suite(
  .enabled(if: Host.hasKVM, "needs read-write /dev/kvm"), .serialized, .timeLimit(.minutes(10)))
struct StatusTests {
  /// A port that keeps whoever writes to it until it is opened.
  private final class StuckPort: BusDevice {
    private let isOpen = Atomic(false)
    let isEntered = Atomic(false)

    func read(offset: UInt64, width: Int) -> UInt64 { 0 }
    func write(offset: UInt64, width: Int, value: UInt64) {
      isEntered.store(true, ordering: .releasing)
      while !isOpen.load(ordering: .acquiring) { sched_yield() }
    }
    func open() { isOpen.store(true, ordering: .releasing) }
  }

  /// out 0xEC, al; inc dword [rsi*4 + 0x200000]; jmp back. The second vCPU counts at 0x200004.
  private static let counter: [UInt8] = [
    0xE6, 0xEC, 0xFF, 0x04, 0xB5, 0x00, 0x00, 0x20, 0x00, 0xEB, 0xF5,
  ]
  /// out 0xE8, al; jmp $.
  private static let writer: [UInt8] = [0xE6, 0xE8, 0xEB, 0xFE]
  private static let code: Range<UInt64> = 0x10_0000..<0x10_0100

  private func configuration(
    _ program: [UInt8], vcpus: Int, _ transport: HyperVTransport
  ) -> MachineConfiguration {
    var configuration = MachineConfiguration.confined(
      program: program, memoryByteCount: 16 << 20, vcpuCount: vcpus)
    configuration.hyperV = transport == .kernel ? .kernel : .userspace
    return configuration
  }

  private func snapshots(_ status: MachineStatus) -> [VCPUSnapshot] {
    status.processors.compactMap { processor in
      if case .known(let snapshot) = processor.state { snapshot } else { nil }
    }
  }

  @Test(arguments: Host.transports)
  func runningProcessorsSayWhereTheyAreAndGoOn(transport: HyperVTransport) async throws {
    let control = MachineControl()
    var configuration = configuration(Self.counter, vcpus: 2, transport)
    configuration.portDevices = [
      (PortRange(start: 0xEC, count: 1), SignalPort { _ in control.startSecondaryVCPUs() })
    ]
    let machine = try Machine(configuration, control: control)
    #expect(try machine.status().processors.map(\.state) == [.notStarted, .notStarted])
    let outcome = Task { await machine.runOnThread() }
    func count(_ index: UInt64) throws -> UInt32 {
      try machine.memory.load(at: GPA(0x20_0000 + 4 * index))
    }
    while try count(0) == 0 || count(1) == 0 { await Task.yield() }

    let rounds = 50
    for _ in 0..<rounds {
      let status = try machine.status(waitingSeconds: 60)
      let seen = snapshots(status)
      try #require(seen.count == 2)
      for snapshot in seen {
        #expect(Self.code.contains(snapshot.instructionPointer))
        #expect(snapshot.privilegeLevel == 0)
        #expect(snapshot.pageTables != 0 && snapshot.pageTables % 4096 == 0)
        #expect(snapshot.activity == .runnable && !snapshot.isHaltedForGood)
      }
    }
    // They run on, and are not interrupted without end.
    let before = try (count(0), count(1))
    while try count(0) == before.0 || count(1) == before.1 { await Task.yield() }
    let status = try machine.status(waitingSeconds: 60)
    for processor in status.processors {
      let counts = processor.exitCounts
      #expect(counts[ExitKind.portWrite.rawValue] > 0)
      #expect(counts[ExitKind.memoryRead.rawValue] == 0)
      #expect(counts[ExitKind.interruption.rawValue] <= UInt64(3 * rounds))
    }

    // Also while they are paused, and what they say does not change.
    #expect(try control.pause())
    let paused = snapshots(try machine.status(waitingSeconds: 60))
    #expect(paused.count == 2)
    #expect(snapshots(try machine.status(waitingSeconds: 60)) == paused)
    control.resume()
    control.end(with: .stopped)
    _ = await outcome.value
    #expect(try machine.status().processors.map(\.state) == [.absent, .absent])
  }

  @Test(arguments: Host.transports)
  func looksAndPausesStartNoProcessor(transport: HyperVTransport) async throws {
    let control = MachineControl()
    // The first counts; what would be the port that starts the second does nothing.
    let machine = try Machine(
      configuration(Self.counter, vcpus: 2, transport), control: control)
    let outcome = Task { await machine.runOnThread() }
    while try machine.memory.load(at: GPA(0x20_0000), as: UInt32.self) == 0 { await Task.yield() }
    for _ in 0..<20 {
      #expect(try machine.status(waitingSeconds: 60).processors[1].state == .notStarted)
      #expect(try control.pause())
      control.resume()
    }
    let before: UInt32 = try machine.memory.load(at: GPA(0x20_0000))
    while try machine.memory.load(at: GPA(0x20_0000)) == before { await Task.yield() }
    #expect(try machine.memory.load(at: GPA(0x20_0004), as: UInt32.self) == 0)
    control.end(with: .stopped)
    _ = await outcome.value
  }

  @Test(arguments: Host.transports)
  func aProcessorThatWaitsInADeviceIsNamed(transport: HyperVTransport) async throws {
    let control = MachineControl()
    let port = StuckPort()
    var configuration = configuration(Self.writer, vcpus: 1, transport)
    configuration.portDevices = [(PortRange(start: 0xE8, count: 1), port)]
    let machine = try Machine(configuration, control: control)
    let outcome = Task { await machine.runOnThread() }
    while !port.isEntered.load(ordering: .acquiring) { await Task.yield() }
    #expect(try machine.status().processors.map(\.state) == [.busy(.port(0xE8))])
    port.open()
    // On the instruction, which KVM finishes at the next run, or behind it.
    let seen = snapshots(try machine.status(waitingSeconds: 60)).map(\.instructionPointer)
    #expect(seen == [0x10_0000] || seen == [0x10_0002])
    control.end(with: .stopped)
    _ = await outcome.value
  }

  @Test(arguments: Host.transports)
  func exitsAreCountedByKind(transport: HyperVTransport) throws {
    let probe = try Probe(
      Probe.introduction + [
        .hypercall(0x8001, out: Probe.reply), .hypercall(0x8001, out: Probe.reply),
        .readMSR(0x4000_0020), .writePort(0xE8, 1), .writePort(0xE8, 1),
      ], transport: transport)
    let counts = try probe.machine.status().processors[0].exitCounts
    #expect(counts[ExitKind.hypercall.rawValue] == 2)
    // The last is the exit port's.
    #expect(counts[ExitKind.portWrite.rawValue] == 3)
    #expect(counts[ExitKind.msrRead.rawValue] == (transport == .userspace ? 1 : 0))
    #expect(counts[ExitKind.msrWrite.rawValue] == (transport == .userspace ? 2 : 0))
  }
}
