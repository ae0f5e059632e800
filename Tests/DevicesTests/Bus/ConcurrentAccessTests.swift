import GuestMemory
import HostSystem
import Sandbox
import Synchronization
import TestSupport
import Testing

@testable import DeviceKit
@testable import Devices

/// All devices of a PC on their buses, while several vCPUs access them at once.
@Suite(.timeLimit(.minutes(10))) struct ConcurrentAccessTests {
  private static let threadCount = 4
  /// Where a BAR of the disk may be moved to.
  private static let window: UInt64 = 0xC000_0000
  private static let express: UInt64 = 0xB000_0000
  private static let flashStart: UInt64 = 0xFFC8_4000
  private static let freePort: UInt16 = 0x4000
  private static let diskAddress: UInt64 = 1 << 15

  private let store = FlashModel(byteCount: 4 * 4096)
  private let image: ImageFile
  private let memory: GuestMemory
  private let chip: FlashChip
  private let disk: NVMeController
  private let ports: PortBus
  private let registers: MMIOBus

  init() throws {
    image = try ImageFile(pattern(64 << 10, seed: 1))
    memory = try GuestMemory(layout: GuestMemoryLayout(ramByteCount: 8 << 20))
    chip = try FlashChip(store: store) { _ in }
    chip.reset { _ in }
    let clock = ManualClock(1_700_000_000_000_000_000)
    let tick: @Sendable () -> Int64 = {
      clock.advance(by: 777_777)
      return clock.nanoseconds
    }
    // Memory of its own: what the disk does to it is not what is looked at here.
    disk = try NVMeController(
      store: RawImageStore(path: image.path), identity: NVMeIdentity(serial: "S-1"),
      history: NVMeHistory { 0 }, queuePairCount: 2,
      context: PCIContext(
        memory: GuestMemory(layout: GuestMemoryLayout(ramByteCount: 8 << 20)),
        messages: SilentSink(), interruptLine: SilentLine(),
        onThreadStart: { ThreadFilter.enter(.disk) }))
    try disk.start()
    let timer = PMTimer { UInt64(tick()) }
    let hostBridge = HostBridge()
    let isaBridge = ISABridge(power: PowerManagement(timer: timer, line: SilentLine()) {})
    let host = PCIHost([
      (HostBridge.address, hostBridge), (PCIAddress(device: 1), disk),
      (ISABridge.address, isaBridge),
    ])
    hostBridge.placeConfiguration(at: Self.express)
    isaBridge.placePowerManagement(at: 0x600)
    var items = FirmwareItems(vcpuCount: 4, memoryByteCount: 8 << 20, uuid: [])
    try items.add("opt/file", Array(1...100))
    let keyboard = KeyboardController(keyboardLine: SilentLine(), mouseLine: SilentLine()) {}
    ports = try PortBus(
      keyboard.attachments + [
        (UART16550.firstSerialPort, UART16550(line: SilentLine()) { _ in }),
        (
          RealTimeClock.ports,
          RealTimeClock(line: SilentLine(), nanosecondsSince1970: tick)
        ),
        (SystemControlPort.ports, SystemControlPort {}),
        (PCIConfigPorts.ports, PCIConfigPorts(host: host, resetControl: ResetControl {})),
        (FirmwareConfiguration.ports, FirmwareConfiguration(items: items, memory: memory)),
      ], decoder: PCIPorts(host: host, bridge: isaBridge))
    registers = try MMIOBus(
      [(MMIORange(start: Self.flashStart, byteCount: UInt64(4 * 4096)), chip)],
      decoder: PCIMemory(host: host, bridge: hostBridge))
  }

  @Test(
    "random accesses of four vCPUs to every device leave each of them whole",
    arguments: [1, 2] as [UInt64])
  func everything(seed: UInt64) throws {
    let unclaimed = Atomic<UInt64>(0)
    let (ports, registers, memory) = (ports, registers, memory)
    let failures = Recorder<String>()
    let ecam = Self.express
    // Unclaimed accesses do not depend on the interleaving; everything else does.
    try withThreads { number in
      var generator = SeededGenerator(seed: seed << 8 | UInt64(number))
      for _ in 0..<8000 {
        let value = generator.nextOfAnyMagnitude()
        let width = [1, 2, 4].randomElement(using: &generator) ?? 1
        let isWrite = Bool.random(using: &generator)
        switch generator.next() % 8 {
        case 0...2:
          let place = Self.portPlaces.randomElement(using: &generator) ?? 0x60
          if isWrite {
            ports.write(port: place, width: width, value: UInt32(truncatingIfNeeded: value))
          } else if width < 4, ports.read(port: place, width: width) >> UInt32(8 * width) != 0 {
            failures.append("port \(place): more than \(width) bytes")
          }
        case 3:
          ports.write(port: Self.freePort, width: 1, value: 0)
          unclaimed.add(1, ordering: .relaxed)
        case 4:
          // BAR 0, the command register, MSI-X.
          let offsets: [UInt64] = [0x04, 0x10, 0x14, 0x3C, 0x42]
          let offset = offsets.randomElement(using: &generator) ?? 4
          let value = offset == 0x10 ? Self.window + value % 4 * 0x4000 : value
          registers.write(
            address: ecam + Self.diskAddress + offset, width: offset == 0x42 ? 2 : 4, value: value)
        case 5:
          let address = Self.window + generator.next() % 0x1_0000 & ~3
          if isWrite {
            registers.write(address: address, width: 4, value: value)
          } else {
            _ = registers.read(address: address, width: 8)
          }
        case 6:
          let address = Self.flashStart + generator.next() % (4 * 4096)
          let commands: [UInt64] = [0x10, 0x20, 0xD0, 0xFF, 0x70, 0x90, 0x98, value & 0xFF]
          let command = commands.randomElement(using: &generator) ?? 0
          registers.write(address: address, width: 1, value: command)
          _ = registers.read(address: address, width: 4)
        default:
          try Self.startDMA(number, ports, memory, &generator)
        }
      }
    }
    #expect(failures.values == [])
    // The PM1 registers' wake status and such are the guest's; identities are not.
    for (offset, expected) in [(0, 0x0001_564D), (8, 0x0108_0200)] as [(UInt64, UInt64)] {
      let found = registers.read(address: ecam + Self.diskAddress + offset, width: 4)
      #expect(found & 0xFFFF_FF00 == expected & 0xFFFF_FF00, "seed \(seed)")
    }
    registers.write(address: ecam + Self.diskAddress + 0x10, width: 4, value: 0xFFFF_FFFF)
    #expect(registers.read(address: ecam + Self.diskAddress + 0x10, width: 4) == 0xFFFF_C000)
    // A byte for each pending command, then *read array*.
    for value in [0xFF, 0xFF, 0xFF] as [UInt64] {
      registers.write(address: Self.flashStart, width: 1, value: value)
    }
    #expect(chip.contents.read(at: 0, byteCount: 4 * 4096) == store.bytes, "seed \(seed)")
    #expect(store.bytes.contains { $0 != 0xFF }, "nothing was programmed")
    ports.write(port: 0x510, width: 2, value: 0)
    let signature = (0..<4).map { _ in UInt8(ports.read(port: 0x511, width: 1)) }
    #expect(signature == Array("QEMU".utf8))
    ports.write(port: 0x70, width: 1, value: 0x0D)
    #expect(ports.read(port: 0x71, width: 1) == 0x80)
    let told = ports.unclaimedAccesses.first { $0.port == Self.freePort && $0.isWrite }
    #expect(told?.count == unclaimed.load(ordering: .relaxed))
    // The disk works when it is set up anew, wherever it was left.
    disk.reset()
    #expect(disk.readBAR(0, offset: 0x1C, width: 4) & 0xFFFF_FFFF == 0)
    disk.stop()
    #expect(try image.contents == pattern(64 << 10, seed: 1))
  }

  /// The first ports of each device, and those of its registers that matter.
  private static let portPlaces: [UInt16] =
    [0x60, 0x64, 0x70, 0x71, 0x92, 0x510, 0x511, 0xCF8, 0xCF9]
    + (0x3F8...0x3FF) + (0x600...0x60F) + (0xCFC...0xCFF)

  /// A command in a page of the vCPU's own, whose data go to the next one. Another's upper half may
  /// come in between: then nothing is there.
  private static func startDMA(
    _ number: Int, _ ports: PortBus, _ memory: GuestMemory, _ generator: inout SeededGenerator
  ) throws {
    let place = 0x10_0000 + UInt64(number) * 0x2000
    let control = UInt32(generator.next() % 32) | UInt32(generator.next() % 0x22) << 16
    try memory.store(control.byteSwapped, at: GPA(place))
    try memory.store(UInt32(generator.next() % 4096).byteSwapped, at: GPA(place + 4))
    try memory.store((place + 0x1000).byteSwapped, at: GPA(place + 8))
    ports.write(port: 0x514, width: 4, value: 0)
    ports.write(port: 0x518, width: 4, value: UInt32(place).byteSwapped)
  }

  private func withThreads(_ body: @escaping @Sendable (Int) throws -> Void) throws {
    let failures = Recorder<String>()
    let threads = try (0..<Self.threadCount).map { number in
      try HostThread {
        ThreadFilter.enter(.vcpu)
        do { try body(number) } catch { failures.append("\(error)") }
      }
    }
    for thread in threads { thread.join() }
    #expect(failures.values == [])
  }
}

/// What a chip's bytes are by what was written.
private final class FlashModel: FlashStore {
  let initialBytes: [UInt8]
  private let current: Guarded<[UInt8]>

  init(byteCount: Int) {
    initialBytes = [UInt8](repeating: 0xFF, count: byteCount)
    current = Guarded(initialBytes)
  }

  var bytes: [UInt8] { current.withLock { $0 } }

  func write(_ bytes: [UInt8], at offset: Int) {
    current.withLock { $0.replaceSubrange(offset..<(offset + bytes.count), with: bytes) }
  }

  func flush() {}
}

private final class SilentLine: InterruptLine {
  func set(_ isAsserted: Bool) {}
}

private final class SilentSink: MSISink {
  func send(_ message: MSIMessage) {}
}
