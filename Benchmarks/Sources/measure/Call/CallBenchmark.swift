import BenchmarkGuests
import DeviceKit
import Devices
import HyperVCore
import MachineSpecification
import VMM

/// The first answer to 0x8002 as the guest sees it, from its call to the return, in a machine with
/// sparse memory.
///
/// Cases: 64 GiB and 1 TiB, with the dirty log and by looking, by the userspace transport, with the
/// default granularity. Each repetition makes a machine of its own, so that bitmaps come fresh from
/// the kernel. The guest wrote little more than its stack: what the steps take when it wrote much
/// is another benchmark's (`steps`).
struct CallBenchmark {
  let repetitions: Int

  /// HvExtCallGetBootZeroedMemory.
  private static let getBootZeroedMemory: UInt64 = 0x8002

  func run() throws {
    print("## call: 0x8002 from the guest's call to its return\n")
    print("\(Host.description)\n\(repetitions) repetitions, each with a new machine\n")
    var section = Section("0x8002, call to return")
    let sources = [(WrittenPageSourceKind.dirtyLog, "sparse"), (.populated, "sparse, by looking")]
    for (source, name) in sources {
      for byteCount in [64 << 30, 1 << 40] {
        var samples = Samples()
        for _ in 0..<repetitions {
          samples.add(contentsOf: try measure(byteCount: byteCount, source))
        }
        section.add(
          Figure(
            name: "\(binaryUnits(byteCount)), \(name)", unit: "ms",
            samples: samples.scaled(by: 1e3), limit: byteCount == 64 << 30 ? 1 : nil))
      }
    }
    try section.finish()
  }

  private func measure(byteCount: Int, _ source: WrittenPageSourceKind) throws -> Samples {
    let image = ExitImage(
      .hypercall(.userspace), count: 1, address: Self.getBootZeroedMemory, enablesPage: true)
    var configuration = MachineConfiguration(
      program: image.bytes, memoryByteCount: UInt64(byteCount))
    configuration.hyperV = .userspace
    configuration.trackingPolicy = .always
    configuration.writtenPageSource = source
    let control = MachineControl()
    let rounds = Rounds(count: 1, warmsUp: false, floor: nil, control: control)
    configuration.portDevices = [
      (PortRange(start: UInt16(EXITS_PORT_BEGIN), count: 1), SignalPort { _ in rounds.begin() }),
      (PortRange(start: UInt16(EXITS_PORT_END), count: 1), SignalPort { _ in rounds.end() }),
    ]
    let answers = Answers()
    let machine = try Machine(configuration, control: control) { event in
      if let ranges = event.outcome.reportedRanges { answers.note(rangeCount: ranges.count) }
    }
    let outcome = machine.run()
    guard case .stopped = outcome, answers.rangeCount > 0 else {
      throw BenchmarkError("no answer to 0x8002; the guest ended with \(outcome)")
    }
    return rounds.samples.vmm
  }
}
