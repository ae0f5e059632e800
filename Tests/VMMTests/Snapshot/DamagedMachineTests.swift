import DeviceKit
import Devices
import GuestMemory
import MachineSpecification
import TestSupport
import Testing
import ZeroTracker

@testable import VMM

/// Saved machines with changed bytes behind a checksum that fits: KVM refuses them or runs them.
@Suite(
  .enabled(if: Host.hasKVM, "needs read-write /dev/kvm"), .serialized, .timeLimit(.minutes(10)))
struct DamagedMachineTests {
  /// Counts in memory.
  private static let program: [UInt8] = [
    0x48, 0xFF, 0x04, 0x25, 0x00, 0x00, 0x20, 0x00,  // inc qword [0x200000]
    0xEB, 0xF6,  // jmp to it
  ]

  private func configuration(_ transport: HyperVTransport) -> MachineConfiguration {
    var configuration = MachineConfiguration.confined(
      program: Self.program, memoryByteCount: 4 << 20)
    configuration.hyperV = transport == .kernel ? .kernel : .userspace
    return configuration
  }

  private func saved(
    _ transport: HyperVTransport, to file: SavedFile
  ) async throws -> SavedMachine {
    let control = MachineControl()
    let machine = try Machine(configuration(transport), control: control)
    let outcome = Task { await machine.runOnThread() }
    while try machine.memory.load(at: GPA(0x20_0000), as: UInt64.self) == 0 { await Task.yield() }
    #expect(try control.pause())
    let saved = try machine.save(memoryTo: file.descriptor)
    control.end(with: .stopped)
    _ = await outcome.value
    return saved
  }

  @Test(arguments: Host.transports)
  func isRefusedOrRuns(transport: HyperVTransport) async throws {
    let file = try SavedFile()
    let saved = try await saved(transport, to: file)
    var generator = SeededGenerator(seed: 0xDA3A6ED)
    var (refused, ran) = (0, 0)
    for _ in 0..<120 {
      let changed = try changed(saved, &generator)
      let control = MachineControl()
      var configuration = configuration(transport)
      configuration.restoration = MachineRestoration(
        try SavedMachine(decoding: changed.encoded), memoryDescriptor: file.descriptor)
      let machine: Machine
      do {
        machine = try Machine(configuration, control: control)
      } catch {
        refused += 1
        continue
      }
      ran += 1
      let outcome = Task { await machine.runOnThread() }
      // Once around, where the vCPU can still be made to leave the guest.
      if try control.pause() { control.resume() }
      control.end(with: .stopped)
      _ = await outcome.value
    }
    #expect(refused > 20 && ran > 20, "\(refused) refused, \(ran) ran")
  }

  /// One to three places of one part: a byte, a number of any size, or the part's end is cut; or
  /// which pages there are.
  private func changed(
    _ saved: SavedMachine, _ generator: inout SeededGenerator
  ) throws -> SavedMachine {
    var new = SavedMachine()
    new.memory = saved.memory
    let chosen = Int.random(in: 0...saved.state.parts.count, using: &generator)
    for (index, part) in saved.state.parts.enumerated() {
      var bytes = part.bytes
      if index == chosen, !bytes.isEmpty {
        for _ in 0..<Int.random(in: 1...3, using: &generator) {
          let place = Int.random(in: bytes.indices, using: &generator)
          let value = generator.nextOfAnyMagnitude()
          let count = Bool.random(using: &generator) ? 1 : min(8, bytes.count - place)
          for offset in 0..<count {
            bytes[place + offset] = UInt8(truncatingIfNeeded: value >> UInt64(8 * offset))
          }
        }
        if UInt8.random(in: 0..<8, using: &generator) == 0 {
          bytes.removeLast(.random(in: 1...bytes.count, using: &generator))
        }
      }
      new.state.add(bytes, as: part.name)
    }
    if chosen == saved.state.parts.count,
      let index = new.memory.indices.randomElement(using: &generator)
    {
      let pages = new.memory[index].pages
      new.memory[index].pages = PageRange(
        start: GPN(rawValue: min(generator.nextOfAnyMagnitude(), 1 << 40)),
        pageCount: max(1, min(generator.nextOfAnyMagnitude(), 1 << 30, pages.pageCount * 4)))
    }
    return new
  }
}
