import Devices
import GuestPrograms
import Synchronization
import Testing
import VMM

/// Firmware of ours, from the reset vector on: the flash below 4 GiB on the KVM that is here.
@Suite(
  .enabled(if: Host.hasKVM, "needs read-write /dev/kvm"), .serialized, .timeLimit(.minutes(10)))
struct FirmwareTests {
  /// Two blocks, in memory.
  private final class Store: FlashStore {
    let initialBytes = [UInt8](repeating: 0xA5, count: 2 * 4096)
    let writes = Mutex<[(offset: Int, byteCount: Int)]>([])
    let flushes = Mutex(0)

    func write(_ bytes: [UInt8], at offset: Int) {
      writes.withLock { $0.append((offset, bytes.count)) }
    }
    func flush() { flushes.withLock { $0 += 1 } }
  }

  private static var image: [UInt8] {
    // SAFETY: the symbols delimit a constant of the program.
    unsafe Array(
      UnsafeBufferPointer(start: guest_firmware_bytes(), count: guest_firmware_byte_count()))
  }

  private func configuration(_ store: Store, _ control: MachineControl) throws
    -> MachineConfiguration
  {
    let chip = try FlashChip(store: store) { _ in }
    let guest = FirmwareGuest(
      image: try FirmwareImage(Self.image, name: "own"), variables: chip)
    var configuration = MachineConfiguration.confined(.firmware(guest), memoryByteCount: 64 << 20)
    configuration.portDevices = [
      (ExitPort.ports, ExitPort { control.end(with: .exited(status: $0)) })
    ]
    return configuration
  }

  @Test("reset vector, flash in every mode, bridges, the tables that follow them, power off")
  func runs() async throws {
    let store = Store()
    let control = MachineControl()
    let machine = try Machine(try configuration(store, control), control: control)
    let outcome = await machine.runOnThread()
    guard case .poweredOff = outcome else {
      Issue.record("ended with \(outcome): the number of a check in firmware.S")
      return
    }
    let writes = store.writes.withLock { $0 }
    #expect(writes.map(\.offset) == [0, 4096])
    #expect(writes.map(\.byteCount) == [1, 4096])
    #expect(store.flushes.withLock { $0 } == 2)
  }

  @Test("the same chip serves the machine after a reset")
  func again() async throws {
    let store = Store()
    var control = MachineControl()
    var configuration = try configuration(store, control)
    let first = await (try Machine(configuration, control: control)).runOnThread()
    guard case .poweredOff = first else {
      Issue.record("ended with \(first)")
      return
    }
    // What the first run programmed is there: the first check fails.
    control = MachineControl()
    configuration.portDevices = [
      (ExitPort.ports, ExitPort { [control] in control.end(with: .exited(status: $0)) })
    ]
    let second = await (try Machine(configuration, control: control)).runOnThread()
    guard case .exited(status: 1) = second else {
      Issue.record("ended with \(second)")
      return
    }
  }

  @Test("images that cannot be firmware", arguments: [0, 1000, 4096, (16 << 20) + 4096])
  func refused(byteCount: Int) {
    #expect(throws: MachineError.self) {
      try FirmwareImage([UInt8](repeating: 0, count: byteCount), name: "odd")
    }
  }

  @Test(
    "an image that is stored in another way is named as what it is, with the command that helps")
  func foreign() throws {
    var bytes = [UInt8](repeating: 0x5A, count: 64 << 10)
    bytes.replaceSubrange(0..<8, with: [0x51, 0x46, 0x49, 0xFB, 0, 0, 0, 3])
    bytes[bytes.count - 1] = 1
    let error = #expect(throws: MachineError.self) { try FirmwareImage(bytes, name: "a b.qcow2") }
    #expect(
      error
        == .configuration(
          "firmware a b.qcow2 is a qcow2 image, not raw; convert it (qemu-img convert -f qcow2 -O raw "
            + "'a b.qcow2' 'a b.qcow2.raw')"))
  }

  @Test("firmware and variables that do not fit together below 4 GiB")
  func tooLarge() throws {
    var bytes = [UInt8](repeating: 0, count: 16 << 20)
    bytes[bytes.count - 1] = 1
    let chip = try FlashChip(store: Store()) { _ in }
    let guest = FirmwareGuest(image: try FirmwareImage(bytes, name: "large"), variables: chip)
    let control = MachineControl()
    #expect(throws: MachineError.self) {
      try Machine(
        MachineConfiguration.confined(.firmware(guest), memoryByteCount: 64 << 20), control: control
      )
    }
  }
}
