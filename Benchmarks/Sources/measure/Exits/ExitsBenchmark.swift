import BenchmarkGuests
import DeviceKit
import Devices
import KVM
import MachineSpecification
import VMM

/// The round trip of an exit, from guest to VMM and back, against plain C that answers the same
/// exit with the fewest instructions.
///
/// Cases: hypercall 0x8001 by each transport that this host has; port and memory-mapped reads and
/// writes with 1, 10 and 40 devices on the bus, to the last of them. Guest and kernel take most of
/// the time; the floor has the same guest.
struct ExitsBenchmark {
  let rounds: Int
  let exitsPerRound: Int
  /// What a case's name must contain; nil for all.
  let only: String?
  /// Whether plain C has its turns.
  let hasFloor: Bool

  private static let deviceCounts = [1, 10, 40]
  private static let firstPort: UInt16 = 0x300
  private static let firstAddress: UInt64 = 0xD000_0000
  /// HvExtCallQueryCapabilities.
  private static let queryCapabilities: UInt64 = 0x8001

  func run() throws {
    print("## exits: the answer to an exit against plain C\n")
    print("\(Host.description)\n\(rounds) rounds of \(exitsPerRound) exits, in turn\n")
    var hypercalls = Section("hypercall round trip")
    for transport in [HyperVTransport.userspace, .kernel] {
      let kind = ExitKind.hypercall(transport)
      guard isAsked(for: kind.name) else { continue }
      guard try isPossible(transport) else {
        print("\(kind.name): not possible with this KVM\n")
        continue
      }
      hypercalls.add(try figure(kind.name, kind, deviceCount: 0, goal: 1.05))
    }
    try hypercalls.finish()
    var accesses = Section("port and MMIO exits")
    for kind in [ExitKind.portOut, .portIn, .store, .load] {
      for count in Self.deviceCounts {
        let name = "\(kind.name), \(count) device\(count == 1 ? "" : "s")"
        guard isAsked(for: name) else { continue }
        accesses.add(try figure(name, kind, deviceCount: count, goal: nil))
      }
    }
    try accesses.finish()
  }

  private func isAsked(for name: String) -> Bool {
    only.map { name.contains($0) } ?? true
  }

  private func isPossible(_ transport: HyperVTransport) throws -> Bool {
    switch transport {
    case .userspace: true
    case .none: false
    case .kernel: HyperVTransport.kernelObstacle(on: try .init()) == nil
    }
  }

  private func figure(
    _ name: String, _ kind: ExitKind, deviceCount: Int, goal: Double?
  ) throws -> Figure {
    let samples = try measure(kind, deviceCount: deviceCount)
    var figure = Figure(
      name: name, unit: "ns", samples: samples.vmm.nanoseconds(per: exitsPerRound), goal: goal)
    if hasFloor {
      figure.floor = ("plain C", samples.floor.nanoseconds(per: exitsPerRound))
    }
    return figure
  }

  private func measure(
    _ kind: ExitKind, deviceCount: Int
  ) throws -> (vmm: Samples, floor: Samples) {
    let last = max(deviceCount - 1, 0)
    let address =
      switch kind {
      case .store, .load: Self.firstAddress + UInt64(last) * 4096
      case .portOut, .portIn: UInt64(Self.firstPort) + UInt64(last) * 4
      case .hypercall: Self.queryCapabilities
      }
    let image = ExitImage(kind, count: exitsPerRound, address: address, enablesPage: true)
    var configuration = MachineConfiguration(program: image.bytes, memoryByteCount: 64 << 20)
    if case .hypercall(let transport) = kind {
      configuration.hyperV = transport == .kernel ? .kernel : .userspace
    }
    let control = MachineControl()
    let floor =
      hasFloor ? try ExitFloor(kind, count: exitsPerRound, address: address) : nil
    let rounds = Rounds(count: self.rounds, floor: floor, control: control)
    configuration.portDevices = [
      (PortRange(start: UInt16(EXITS_PORT_BEGIN), count: 1), SignalPort { _ in rounds.begin() }),
      (PortRange(start: UInt16(EXITS_PORT_END), count: 1), SignalPort { _ in rounds.end() }),
    ]
    for index in 0..<deviceCount {
      if kind.isMemory {
        let start = Self.firstAddress + UInt64(index) * 4096
        configuration.memoryDevices.append((MMIORange(start: start, byteCount: 4096), Register()))
      } else {
        let start = Self.firstPort + UInt16(index) * 4
        configuration.portDevices.append((PortRange(start: start, count: 4), Register()))
      }
    }
    let machine = try Machine(configuration, control: control)
    let outcome = machine.run()
    guard case .stopped = outcome else {
      throw BenchmarkError("the guest of exits (\(kind.name)) ended with \(outcome)")
    }
    return rounds.samples
  }
}

/// A device that does nothing.
private final class Register: BusDevice {
  func read(offset: UInt64, width: Int) -> UInt64 { 0x5A }
  func write(offset: UInt64, width: Int, value: UInt64) {}
}
