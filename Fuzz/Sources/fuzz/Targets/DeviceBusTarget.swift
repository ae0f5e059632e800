internal import DeviceKit
internal import Devices
internal import Synchronization

/// Streams of port and memory accesses of all widths to every device that has no DMA, while the
/// host types, presses the power button and lets time pass.
final class DeviceBusTarget: FuzzTarget {
  static let name = "device-bus"
  static let maximumInputByteCount = 512

  private static let reportPort: UInt16 = 0x500
  /// Where accesses begin: each device, and nothing (the last ones).
  private static let ports: [UInt16] = [
    0x60, 0x64, 0x70, 0x92, 0xE9, 0xF4, 0x3F8, 0x500, 0x600, 0x604, 0x608, 0xCF8, 0xCFC, 0xCF9,
    0x2F8, 0xFFFF,
  ]
  /// The same devices, 4 KiB apart: there accesses have up to 8 bytes.
  private static let memoryStart: UInt64 = 0xFFFF_FFFF_FFF0_0000

  /// A configuration space of 4 KiB: too large to make for each input.
  private let bridges = PCIHost([(HostBridge.address, HostBridge())])

  init() {}

  func run(_ input: FuzzInput) {
    bridges.reset()
    let board = Board(bridges)
    while !input.isEmpty {
      let action = input.byte
      switch action & 7 {
      case 0...2:
        accessPort(board, input, isWrite: action & 8 != 0)
        board.checkClock()
      case 3...4:
        accessMemory(board, input, isWrite: action & 8 != 0)
        board.checkClock()
      case 5: type(board, input)
      case 6:
        // From nanoseconds to centuries, and back.
        let step = Int64(truncatingIfNeeded: UInt64(input.byte) << UInt64(action >> 3) * 2)
        board.clock.advance(by: input.byte == 0xFF ? 0 &- step : step)
      default:
        board.wakeClock()
        board.power.update()
        if action & 8 != 0 { board.power.pressPowerButton() }
      }
    }
    require(board.ports.unclaimedAccesses.count <= 0x20000, "an unbounded list of ports")
    require(board.memory.unclaimedPages.count <= 4096, "an unbounded list of pages")
  }

  private func accessPort(_ board: Board, _ input: FuzzInput, isWrite: Bool) {
    let choice = input.byte
    let port = Self.ports[Int(choice & 15)] &+ UInt16(choice >> 4)
    let width = 1 << input.index(below: 3)
    if isWrite {
      board.ports.write(port: port, width: width, value: input.uint32)
      return
    }
    let value = UInt64(board.ports.read(port: port, width: width))
    let mask = UInt64.max >> UInt64(64 - 8 * width)
    require(value & ~mask == 0, "port \(port), width \(width) reads \(value)")
    if !board.portRanges.contains(where: { $0.contains(port) }) {
      require(value == mask, "port \(port) of nobody reads \(value)")
    }
  }

  private func accessMemory(_ board: Board, _ input: FuzzInput, isWrite: Bool) {
    // One page more than there are devices; the offset passes a device's end.
    let page = UInt64(input.index(below: board.portRanges.count + 1))
    let address = Self.memoryStart + page << 12 + UInt64(input.byte)
    let width = 1 + input.index(below: 8)
    if isWrite {
      board.memory.write(address: address, width: width, value: input.uint64)
      return
    }
    let value = board.memory.read(address: address, width: width)
    require(width == 8 || value >> UInt64(8 * width) == 0, "width \(width) reads \(value)")
  }

  private func type(_ board: Board, _ input: FuzzInput) {
    let count = input.index(below: 40)
    let bytes = input.bytes(count)
    switch input.byte % 3 {
    case 0:
      require((0...bytes.count).contains(board.serialPort.receive(bytes)), "took more than given")
    case 1:
      for byte in bytes { board.keyboard.setKey(KeyboardKey(rawValue: byte), isDown: input.bool) }
    default:
      let size = Int(truncatingIfNeeded: input.uint64)
      for byte in bytes {
        board.keyboard.setPointer(
          PointerState(
            x: Int(truncatingIfNeeded: input.uint64), y: Int(byte), width: size, height: size,
            buttons: PointerButtons(rawValue: byte)))
        board.keyboard.turnWheel(
          vertical: Int(truncatingIfNeeded: input.uint64), horizontal: Int(byte))
      }
    }
  }

  /// When the real-time clock wants to be woken; one thread only.
  private final class WakeTime: Sendable {
    private let storage = Mutex<Int64?>(nil)

    var value: Int64? {
      get { storage.withLock { $0 } }
      set { storage.withLock { $0 = newValue } }
    }
  }

  /// A PC's fixed devices, new for each input.
  private struct Board {
    let clock = StreamClock(nanoseconds: 1_700_000_000_123_456_789)
    let serialPort: UART16550
    let keyboard: KeyboardController
    let clockDevice: RealTimeClock
    private let clockLine = CheckedLine()
    /// When the clock wants to be woken.
    private let wakeTime: WakeTime
    let power: PowerManagement
    let ports: PortBus
    let memory: MMIOBus
    let portRanges: [PortRange]

    /// While the clock interrupts, it waits for nothing.
    func checkClock() {
      guard let time = wakeTime.value else { return }
      require(!clockLine.isAsserted, "to be woken at \(time), and the wire is asserted")
    }

    /// What a timer does; at the time that it was given there is an interrupt, or the guest misses
    /// one.
    func wakeClock() {
      let isDue = wakeTime.value.map { $0 <= clock.nanoseconds } ?? false
      clockDevice.update()
      require(!isDue || clockLine.isAsserted, "woken for nothing")
    }

    init(_ bridges: PCIHost) {
      let clock = clock
      serialPort = UART16550(line: CheckedLine()) { _ in }
      keyboard = KeyboardController(keyboardLine: CheckedLine(), mouseLine: CheckedLine()) {}
      let wakeTime = WakeTime()
      clockDevice = RealTimeClock(
        line: clockLine, nanosecondsSince1970: { clock.nanoseconds },
        onNextInterrupt: { time in
          // Later the time may have passed: a timer is late.
          if let time {
            require(time > clock.nanoseconds || time == .max, "to be woken at \(time)")
          }
          wakeTime.value = time
        })
      self.wakeTime = wakeTime
      let timer = PMTimer { UInt64(bitPattern: clock.nanoseconds) }
      power = PowerManagement(timer: timer, line: CheckedLine()) {}
      let devices: [(PortRange, any BusDevice)] =
        keyboard.attachments
        + ReportPort { _, _ in }.attachments + [
          (RealTimeClock.ports, clockDevice), (UART16550.firstSerialPort, serialPort),
          (PortRange(start: 0x600, count: PowerManagement.portCount), power),
          (DebugConsole.ports, DebugConsole { _ in }),
          (SystemControlPort.ports, SystemControlPort {}), (ExitPort.ports, ExitPort { _ in }),
          (
            PCIConfigPorts.ports,
            PCIConfigPorts(host: bridges, resetControl: ResetControl {})
          ),
        ]
      portRanges = devices.map(\.0)
      let pages = devices.enumerated().map { index, device in
        (
          MMIORange(
            start: DeviceBusTarget.memoryStart + UInt64(index) << 12,
            byteCount: UInt64(device.0.count)), device.1
        )
      }
      do {
        ports = try PortBus(devices)
        memory = try MMIOBus(pages)
      } catch {
        fatalError("\(error)")
      }
    }
  }
}
