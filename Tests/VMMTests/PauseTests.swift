import DeviceKit
import Devices
import GuestMemory
import MachineSpecification
import Synchronization
import Testing
import VMM

/// Pausing the vCPUs of a machine that never rests.
@Suite(
  .enabled(if: Host.hasKVM, "needs read-write /dev/kvm"), .serialized, .timeLimit(.minutes(10)))
struct PauseTests {
  /// inc dword [0x200000]; jmp back. The second vCPU, once started, counts at 0x200004.
  private static let program: [UInt8] = [
    0xE6, 0xEC,  // out 0xEC, al: start the others (again and again, which does nothing)
    0xFF, 0x04, 0xB5, 0x00, 0x00, 0x20, 0x00,  // inc dword [rsi*4 + 0x200000]
    0xEB, 0xF5,  // jmp to the start
  ]

  private func counts(_ machine: Machine) throws -> [UInt32] {
    try [0x20_0000, 0x20_0004].map { try machine.memory.load(at: GPA($0)) }
  }

  @Test(arguments: Host.transports)
  func aPausedGuestStandsStill(transport: HyperVTransport) async throws {
    let control = MachineControl()
    var configuration = MachineConfiguration.confined(
      program: Self.program, memoryByteCount: 16 << 20, vcpuCount: 2)
    configuration.hyperV = transport == .kernel ? .kernel : .userspace
    configuration.portDevices = [
      (PortRange(start: 0xEC, count: 1), SignalPort { _ in control.startSecondaryVCPUs() })
    ]
    let machine = try Machine(configuration, control: control)
    let outcome = Task { await machine.runOnThread() }
    for round in 0..<20 {
      // Both count.
      let before = try counts(machine)
      while try zip(counts(machine), before).contains(where: { $0 == $1 }) { await Task.yield() }
      #expect(try control.pause())
      // Pausing what is paused changes nothing.
      #expect(try control.pause())
      let paused = try counts(machine)
      try await Task.sleep(for: .milliseconds(2))
      #expect(try counts(machine) == paused, "round \(round)")
      control.resume()
    }
    // The end comes also to a machine that is paused.
    #expect(try control.pause())
    control.end(with: .stopped)
    guard case .stopped = await outcome.value else {
      Issue.record("unexpected end")
      return
    }
    #expect(try control.pause(), "nobody is left to wait for")
  }
}
