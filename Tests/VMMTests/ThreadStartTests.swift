import Devices
import HostSystem
import MachineSpecification
import Synchronization
import Testing
import VMM

/// The threads of a machine: all made by `run`, each told first of all.
@Suite(
  .enabled(if: Host.hasKVM, "needs read-write /dev/kvm"), .serialized, .timeLimit(.minutes(10)))
struct ThreadStartTests {
  private final class Roles: Sendable {
    private let roles = Mutex<[ThreadRole]>([])

    func note(_ role: ThreadRole) { roles.withLock { $0.append(role) } }
    func count(_ role: ThreadRole) -> Int {
      roles.withLock { $0.count { $0 == role } }
    }
  }

  /// Writes to port 0xF4, which ends the run, and waits.
  private static let endsAtOnce: [UInt8] = [0xE6, 0xF4, 0xEB, 0xFE]
  private static let runsForEver: [UInt8] = [0xEB, 0xFE]

  private func machine(
    _ program: [UInt8], _ control: MachineControl, _ roles: Roles,
    policy: TrackingPolicy = .default, endsOnCrash: Bool = true
  ) throws -> Machine {
    var configuration = MachineConfiguration(
      program: program, memoryByteCount: 16 << 20, vcpuCount: 3)
    configuration.trackingPolicy = policy
    configuration.writtenPageSource = .dirtyLog
    configuration.endsOnCrash = endsOnCrash
    configuration.onThreadStart = { roles.note($0) }
    configuration.portDevices = [
      (ExitPort.ports, ExitPort { control.end(with: .exited(status: $0)) })
    ]
    return try Machine(configuration, control: control)
  }

  /// Those that the guest never started come to their end, too. One waits for the end of tracking
  /// and one for a crash: a vCPU's thread, which notices both, may make no threads.
  @Test func everyThread() throws {
    let (control, roles) = (MachineControl(), Roles())
    let machine = try machine(Self.endsAtOnce, control, roles)
    #expect(roles.count(.vcpu) == 0)
    let outcome = machine.run()
    guard case .exited = outcome else {
      Issue.record("unexpected end: \(outcome)")
      return
    }
    #expect(roles.count(.vcpu) == 3)
    #expect(roles.count(.service) == 2)
    #expect(roles.count(.disk) == 0)
    #expect(machine.vcpuThreadIDs.count >= 1)
  }

  /// No thread waits for what cannot happen: an end of tracking, or the end of a run after a crash.
  @Test(arguments: [TrackingPolicy.always, .never, .untilAnswered(seconds: 0)])
  func noClock(policy: TrackingPolicy) throws {
    for endsOnCrash in [true, false] {
      let (control, roles) = (MachineControl(), Roles())
      let machine = try machine(
        Self.endsAtOnce, control, roles, policy: policy, endsOnCrash: endsOnCrash)
      _ = machine.run()
      #expect(roles.count(.service) == (endsOnCrash ? 1 : 0))
    }
  }

  @Test func endedBeforeItsBeginning() throws {
    let (control, roles) = (MachineControl(), Roles())
    let machine = try machine(Self.runsForEver, control, roles)
    control.end(with: .stopped)
    let outcome = machine.run()
    guard case .stopped = outcome else {
      Issue.record("unexpected end: \(outcome)")
      return
    }
    #expect(roles.count(.vcpu) == 3)
  }

  @Test func endedFromOutside() async throws {
    let (control, roles) = (MachineControl(), Roles())
    let machine = try machine(Self.runsForEver, control, roles)
    let outcome = Task { await machine.runOnThread() }
    while roles.count(.vcpu) < 3 { await Task.yield() }
    control.end(with: .stopped)
    let end = await outcome.value
    guard case .stopped = end else {
      Issue.record("unexpected end: \(end)")
      return
    }
  }
}
