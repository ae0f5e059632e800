internal import ACPI
internal import DeviceKit
public import Devices
internal import GuestMemory
internal import HostSystem
internal import KVM

/// The devices of a PC around the interrupt controllers and the timer in the kernel: a PCI Express
/// host with NVMe disks, and what every PC has at fixed ports.
///
/// Safe from any thread.
public final class PersonalComputer: Sendable {
  /// Where the ACPI tables lie: where an operating system would look for firmware's.
  private static let tablesAddress: UInt64 = 0xE_0000
  /// The first slot for disks; 0 is the host bridge.
  private static let firstDiskSlot: UInt8 = 1
  /// As many as there are slots between the two bridges.
  static let maximumDiskCount = 30
  /// OVMF's driver makes two, one of them to poll; with fewer it leaves the disk alone.
  private static let minimumQueuePairCount = 2
  /// MSI-X vectors and queue pairs go by vCPUs; more would only be more memory.
  static let maximumVCPUCount = 64

  /// The first serial port; takes what the host types.
  public let serialPort: UART16550
  private let power: PowerManagement
  private let clock: RealTimeClock
  private let disks: [NVMeController]
  private let board: Board
  private let flashChip: FlashChip?
  let portDevices: [(PortRange, any BusDevice)]
  let memoryDevices: [(MMIORange, any BusDevice)]
  /// What answers where none of them does.
  let portDecoder: any AddressDecoder
  let memoryDecoder: any AddressDecoder

  /// Builds the devices; the kernel's interrupt controllers are there, routed as in a PC.
  ///
  /// - Parameter firmware: what sets the devices up; nil for a kernel that finds them as firmware
  ///   leaves them.
  init(
    _ configuration: MachineConfiguration, firmware: FirmwareGuest? = nil, memory: GuestMemory,
    machine: VirtualMachine, control: MachineControl
  ) throws(MachineError) {
    let vcpuCount = configuration.vcpuCount
    let own = configuration.computer
    let interrupts = KVMInterrupts(machine)
    func line(_ interrupt: some UnsignedInteger) -> KVMInterruptLine {
      interrupts.line(UInt32(interrupt))
    }
    let reset: @Sendable () -> Void = { control.end(with: .reset) }

    serialPort = UART16550(
      line: line(ACPIFixedHardware.serialPort1Interrupt),
      onRoom: own.onSerialRoom, sink: own.serialOutput ?? { _ in })
    let timer = PMTimer(nanoseconds: HostClock.monotonicNanoseconds)
    let systemControl = SelectableLine(ISABridge.systemControlInterrupts.map { line($0) })
    power = PowerManagement(
      timer: timer, line: systemControl,
      isACPIEnabled: firmware == nil,
      onPowerOff: { control.end(with: .poweredOff) })
    let keyboard = KeyboardController(
      keyboardLine: line(ACPIFixedHardware.keyboardInterrupt), onReset: reset)
    clock = try Self.clock(
      configuration, line: line(ACPIFixedHardware.realTimeClockInterrupt),
      onAlarm: { [power] in power.soundAlarm() })

    disks = try Self.disks(configuration, memory: memory, machine: machine, interrupts)
    var legacyDevices: LegacyDevices = [.serialPort1, .ps2Controller, .realTimeClock]
    if firmware != nil { legacyDevices.insert(.firmwareConfiguration) }
    board = Board(
      power: power, systemControl: systemControl, vcpuCount: vcpuCount,
      legacyDevices: legacyDevices)
    let host = PCIHost(
      board.functions + disks.enumerated().map { (Self.address(ofDisk: $0.offset), $0.element) })
    if firmware == nil { board.setUp(host) }
    portDecoder = board.isaBridge
    memoryDecoder = PCIMemory(host: host, bridge: board.hostBridge)

    var portDevices: [(PortRange, any BusDevice)] =
      keyboard.attachments + [
        (RealTimeClock.ports, clock), (UART16550.firstSerialPort, serialPort),
        (SystemControlPort.ports, SystemControlPort(onReset: reset)),
        (
          PCIConfigPorts.ports,
          PCIConfigPorts(host: host, resetControl: ResetControl(onReset: reset))
        ),
      ]
    var memoryDevices: [(MMIORange, any BusDevice)] = []
    if let firmware {
      let items = try FirmwareItems(
        own, vcpuCount: vcpuCount, processor: ProcessorIdentity(of: machine),
        layout: memory.layout, board: board)
      portDevices.append(
        (FirmwareConfiguration.ports, FirmwareConfiguration(items: items, memory: memory)))
      memoryDevices += try FirmwareFlash(firmware, with: machine).devices
    }
    flashChip = firmware?.variables
    self.portDevices = portDevices
    self.memoryDevices = memoryDevices
  }

  /// The real-time clock, and the thread that has its interrupts come by themselves.
  private static func clock(
    _ configuration: MachineConfiguration, line: KVMInterruptLine,
    onAlarm: @escaping @Sendable () -> Void
  ) throws(MachineError) -> RealTimeClock {
    let own = configuration.computer
    let kept =
      own.keptClock
      ?? RealTimeClock.Kept(utcOffsetSeconds: own.clockIsLocal ? HostClock.utcOffsetSeconds : 0)
    let clock = RealTimeClock(
      kept, line: line, nanosecondsSince1970: HostClock.nanosecondsSince1970, onAlarm: onAlarm)
    let onThreadStart = configuration.onThreadStart
    do throws(HostThread.Failure) {
      try clock.startTimer(onThreadStart: { onThreadStart(.service) })
    } catch {
      throw .unavailable(
        what: "cannot start the real-time clock's thread: \(Errno(error.code))",
        cure: "raise the limit of processes (ulimit -u)")
    }
    return clock
  }

  /// A controller for each of the configuration's disks.
  private static func disks(
    _ configuration: MachineConfiguration, memory: GuestMemory, machine: VirtualMachine,
    _ interrupts: KVMInterrupts
  ) throws(MachineError) -> [NVMeController] {
    let parts = configuration.computer.disks
    guard parts.count <= maximumDiskCount else {
      throw .configuration("\(parts.count) disks: at most \(maximumDiskCount) fit")
    }
    for (index, part) in parts.enumerated() {
      guard NVMeIdentity.isSerial(part.serial) else {
        throw .configuration("disk \(index): its serial number is not 1 to 20 characters of ASCII")
      }
      // Linux drops a disk whose identifiers another one has already.
      guard !parts[..<index].contains(where: { $0.serial == part.serial }) else {
        throw .configuration("two disks have the serial number \(part.serial)")
      }
    }
    let messages = KVMMessageSink(machine)
    let onThreadStart = configuration.onThreadStart
    var disks: [NVMeController] = []
    for (index, part) in parts.enumerated() {
      let interrupt = ACPIFixedHardware.pciInterrupt(
        device: UInt32(address(ofDisk: index).device), pin: 0)
      do {
        disks.append(
          try NVMeController(
            store: part.store, memory: memory, identity: NVMeIdentity(serial: part.serial),
            history: part.history,
            queuePairCount: max(configuration.vcpuCount, minimumQueuePairCount),
            messages: messages, interruptLine: interrupts.line(interrupt),
            onThreadStart: { onThreadStart(.disk) }))
      } catch {
        throw .configuration(error.description)
      }
    }
    return disks
  }

  /// Where a disk is on the bus.
  static func address(ofDisk index: Int) -> PCIAddress {
    PCIAddress(device: firstDiskSlot + UInt8(index))
  }

  /// Places a kernel and the ACPI tables.
  func boot(
    _ linux: LinuxGuest, layout: GuestMemoryLayout
  ) throws(MachineError) -> any MachineBoot {
    let start = Self.tablesAddress
    let tables = ACPITables(board.platform)
    let plan = try LinuxBootPlan(
      kernel: linux.kernel, initrd: linux.initrd, commandLine: linux.commandLine, layout: layout,
      acpi: (tables.rsdpAddress(at: start), start..<(start + UInt64(tables.byteCount))))
    return FirmwareTables(plan: plan, address: GPA(start), bytes: tables.blob(at: start))
  }

  /// Presses the power button: an operating system that listens shuts down.
  ///
  /// - Returns: false if the guest does not listen.
  @discardableResult
  public func pressPowerButton() -> Bool {
    power.pressPowerButton()
  }

  /// What the disks do; nil for one whose lock was taken.
  var diskActivities: [NVMeActivity?] { disks.map(\.activity) }

  /// What the real-time clock's battery keeps: for `PersonalComputerConfiguration.keptClock` of the
  /// machine that comes after a reset.
  public var keptClock: RealTimeClock.Kept { clock.kept }

  /// Ends the disks' work, which waits for what was accepted, and the clock's interrupts.
  func stop() {
    clock.stopTimer()
    for disk in disks { disk.stop() }
    flashChip?.detach()
  }
}

/// A kernel and, in place of firmware, the tables it looks for.
private struct FirmwareTables: MachineBoot {
  let plan: LinuxBootPlan
  let address: GPA
  let bytes: [UInt8]

  func load(into guest: GuestMemory) throws(MachineError) {
    try memory { () throws(GuestMemoryError) in try guest.write(bytes, at: address) }
    try plan.load(into: guest)
  }

  func enter(vcpu: borrowing VCPU) throws(MachineError) {
    if vcpu.id == 0 { try plan.enter(vcpu: vcpu) }
  }
}
