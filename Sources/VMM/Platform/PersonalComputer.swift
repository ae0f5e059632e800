internal import ACPI
public import DeviceKit
public import Devices
internal import GuestMemory
internal import HostSystem
internal import KVM
internal import MachineSpecification

/// The devices of a PC around the interrupt controllers and the timer in the kernel: a PCI Express
/// host with NVMe disks, and what every PC has at fixed ports.
///
/// Safe from any thread.
public final class PersonalComputer: Sendable {
  /// Where the ACPI tables lie: where an operating system would look for firmware's.
  private static let tablesAddress: UInt64 = 0xE_0000
  /// The slots between the two bridges. Disks have the first ones.
  static let freeSlots: ClosedRange<UInt8> = 1...30
  /// Behind what most machines have of disks.
  static let sataSlot: UInt8 = 29
  static let usbSlot: UInt8 = 28
  /// Of the first network card; the next ones are before it.
  static let networkSlot: UInt8 = 27
  /// Behind eight network cards.
  static let randomNumberSlot: UInt8 = 19
  static let balloonSlot: UInt8 = 18
  /// OVMF's driver makes two, one of them to poll; with fewer it leaves the disk alone.
  private static let minimumQueuePairCount = 2

  /// The first serial port; takes what the host types.
  public let serialPort: UART16550
  private let power: PowerManagement
  /// Which life of the machine this is; of the run, as it is in all of its machines.
  public let generation: GenerationID
  private let clock: RealTimeClock
  /// The USB keyboard if there is one and the guest listens to it, else the PS/2 one.
  public let keyboard: any KeyboardInput
  /// The USB tablet if there is one and the guest listens to it, else the PS/2 mouse, which moves
  /// by the way from one place to the next.
  public let pointer: any PointerInput
  /// Nil for a machine without one.
  public let display: BochsDisplay?
  /// Nil for a machine without one.
  public let balloon: Balloon?
  private let disks: [NVMeController]
  private let sata: AHCIController?
  private let tpm: TPMInterface?
  private let host: PCIHost
  private let board: Board
  private let onThreadStart: @Sendable (ThreadRole) -> Void
  private let flashChip: FlashChip?
  /// Nil for a machine without it.
  let vmbus: VMBusServices?
  /// What has a state and is no PCI function, in the order in which it is restored.
  private let parts: [(name: String, device: any StatefulDevice)]
  let portDevices: [(PortRange, any BusDevice)]
  let memoryDevices: [(MMIORange, any BusDevice)]
  /// The same for vCPUs in system management mode.
  let managementDevices: [(MMIORange, any BusDevice)]
  /// Nil without that mode.
  let management: SystemManagement?
  /// What answers where none of them does.
  let portDecoder: any AddressDecoder
  let memoryDecoder: any AddressDecoder

  /// Builds the devices; the kernel's interrupt controllers are there, routed as in a PC.
  ///
  /// - Parameters:
  ///   - firmware: what sets the devices up; nil for a kernel that finds them as firmware leaves
  ///     them.
  ///   - busPort: how VMBus reaches the guest; nil without it.
  ///   - growth: what adds memory.
  init(
    _ configuration: MachineConfiguration, firmware: FirmwareGuest? = nil, memory: GuestMemory,
    machine: VirtualMachine, numbers: MemorySlotNumbers, control: MachineControl,
    busPort: (any VMBusPort)? = nil, growth: any GuestMemoryGrowth
  ) throws(MachineError) {
    let vcpuCount = configuration.vcpuCount
    let own = configuration.computer
    let interrupts = KVMInterrupts(machine)
    func line(_ interrupt: some UnsignedInteger) -> KVMInterruptLine {
      interrupts.line(UInt32(interrupt))
    }
    let reset: @Sendable () -> Void = { control.end(with: .reset) }

    let management = try firmware.flatMap { (guest) throws(MachineError) in
      guest.hasSystemManagement
        ? try SystemManagement(memory.layout, machine: machine, numbers: numbers) : nil
    }
    let managementControl = management.map { management in
      SystemManagementControl(onInterrupt: { management.interrupt() })
    }
    self.management = management

    serialPort = UART16550(
      line: line(ACPIFixedHardware.serialPort1Interrupt),
      onRoom: own.onSerialRoom, sink: own.serialOutput ?? { _ in })
    let timer = PMTimer(nanoseconds: HostClock.monotonicNanoseconds)
    let systemControl = SelectableLine(ISABridge.systemControlInterrupts.map { line($0) })
    power = PowerManagement(
      timer: timer, line: systemControl,
      isACPIEnabled: firmware == nil, management: managementControl,
      onPowerOff: { control.end(with: .poweredOff) })
    let inputs = KeyboardController(
      keyboardLine: line(ACPIFixedHardware.keyboardInterrupt),
      mouseLine: line(ACPIFixedHardware.mouseInterrupt), onReset: reset)
    clock = Self.clock(
      own, layout: memory.layout, line: line(ACPIFixedHardware.realTimeClockInterrupt),
      onAlarm: { [power] in power.soundAlarm() })
    onThreadStart = configuration.onThreadStart

    let functions = try Self.functions(
      configuration,
      context: PCIContext(
        memory: memory, messages: KVMMessageSink(machine),
        mapper: KVMMemoryMapper(machine, numbers: numbers, window: Board.pciHole),
        onThreadStart: { [onThreadStart] in onThreadStart(.disk) }),
      line: { address in
        line(ACPIFixedHardware.pciInterrupt(device: UInt32(address.device), pin: 0))
      })
    let chosen = InputSwitch(
      legacy: inputs, usb: functions.lazy.compactMap { $0.1 as? XHCIController }.first)
    keyboard = chosen
    pointer = chosen
    display = functions.lazy.compactMap { $0.1 as? BochsDisplay }.first
    sata = functions.lazy.compactMap { $0.1 as? AHCIController }.first
    balloon = own.balloon
    disks = functions.prefix(own.disks.count).compactMap { $0.1 as? NVMeController }
    var legacyDevices: LegacyDevices = [.serialPort1, .ps2Controller, .realTimeClock]
    if firmware != nil { legacyDevices.insert(.firmwareConfiguration) }
    board = Board(
      power: power, systemControl: systemControl, vcpuCount: vcpuCount,
      legacyDevices: legacyDevices,
      // Without firmware nothing is logged.
      tpm: own.tpm.map { _ in
        firmware == nil ? ACPIPlatform.TPM(eventLogByteCount: 0) : ACPIPlatform.TPM()
      }, hasVMBus: busPort != nil,
      management: management.flatMap { management in
        managementControl.map { ($0, management.managementMemory) }
      })
    vmbus = try busPort.map { [onThreadStart] (port) throws(MachineError) in
      try Self.device { () throws(DeviceError) in
        try VMBusServices(
          balloon: own.balloon, vpCount: vcpuCount, memory: memory,
          growth: memory.layout.growth == nil ? nil : growth, port: port,
          onThreadStart: { onThreadStart(.vmbus) })
      }
    }
    tpm = own.tpm.map { [onThreadStart] tpm in
      TPMInterface(tpm.backend, onThreadStart: { onThreadStart(.tpm) })
    }
    host = PCIHost(board.functions + functions)
    if firmware == nil { board.setUp(host) }
    portDecoder = PCIPorts(host: host, bridge: board.isaBridge)
    memoryDecoder = PCIMemory(host: host, bridge: board.hostBridge)

    generation = own.generation
    let systemControlPort = SystemControlPort(onReset: reset)
    let resetControl = ResetControl(onReset: reset)
    let configurationPorts = PCIConfigPorts(host: host, resetControl: resetControl)
    var portDevices: [(PortRange, any BusDevice)] =
      inputs.attachments + [
        (RealTimeClock.ports, clock), (UART16550.firstSerialPort, serialPort),
        (SystemControlPort.ports, systemControlPort),
        (PCIConfigPorts.ports, configurationPorts),
      ]
    var parts: [(name: String, device: any StatefulDevice)] = [
      ("serial port", serialPort), ("keyboard controller", inputs),
      ("power management", power), ("real-time clock", clock),
      ("system control port", systemControlPort), ("reset control", resetControl),
      ("PCI configuration ports", configurationPorts), ("generation", generation),
    ]
    var memoryDevices: [(MMIORange, any BusDevice)] = [(GenerationID.range, generation)]
    if let tpm, let presence = own.tpm?.physicalPresence {
      memoryDevices += [(TPMInterface.range, tpm), (PhysicalPresenceMemory.range, presence)]
      parts += [("TPM", tpm), ("physical presence", presence)]
    }
    var managementDevices = memoryDevices
    if let managementControl {
      portDevices.append((SystemManagementControl.ports, managementControl))
      parts.append(("system management control", managementControl))
    }
    if let firmware {
      let items = try FirmwareItems(
        own, diskSlots: functions.prefix(own.disks.count).map(\.0.device), vcpuCount: vcpuCount,
        processor: ProcessorIdentity(of: machine),
        layout: memory.layout, board: board, liveFiles: managementControl?.files ?? [])
      let firmwareConfiguration = FirmwareConfiguration(items: items, memory: memory)
      portDevices.append((FirmwareConfiguration.ports, firmwareConfiguration))
      parts.append(("firmware configuration", firmwareConfiguration))
      let flash = try FirmwareFlash(firmware, with: machine, numbers: numbers)
      memoryDevices += flash.devices
      managementDevices += flash.managementDevices
    }
    if let management { parts.append(("system management memory", management)) }
    if let vmbus { parts.append(("VMBus", vmbus.host)) }
    flashChip = firmware?.variables
    if let flashChip { parts.append(("flash", flashChip)) }
    self.parts = parts
    self.portDevices = portDevices
    self.memoryDevices = memoryDevices
    self.managementDevices = managementDevices
  }

  /// The real-time clock, as the battery kept it. How much memory there is it says anew: what a
  /// guest has written there keeps no later one from starting.
  private static func clock(
    _ own: PersonalComputerConfiguration, layout: GuestMemoryLayout, line: KVMInterruptLine,
    onAlarm: @escaping @Sendable () -> Void
  ) -> RealTimeClock {
    var kept =
      own.keptClock
      ?? RealTimeClock.Kept(utcOffsetSeconds: own.clockIsLocal ? HostClock.utcOffsetSeconds : 0)
    kept.preset(layout.batteryMemory)
    return RealTimeClock(
      kept, line: line, nanosecondsSince1970: HostClock.nanosecondsSince1970, onAlarm: onAlarm)
  }

  /// The configuration's disks and other functions, at their places.
  ///
  /// - Parameter line: the wire of a place's INTA# pin.
  private static func functions(
    _ configuration: MachineConfiguration, context: PCIContext,
    line: (PCIAddress) -> KVMInterruptLine
  ) throws(MachineError) -> [(PCIAddress, any PCIFunction)] {
    let own = configuration.computer
    try checkDisks(own.disks)
    let pairCount = max(configuration.vcpuCount, minimumQueuePairCount)
    let disks = own.disks.map { part in
      PCIDeviceConfiguration { context in
        NVMeController(
          store: part.store, identity: NVMeIdentity(serial: part.serial), history: part.history,
          queuePairCount: pairCount, context: context)
      }
    }
    let devices =
      disks + (display(own).map { [$0] } ?? []) + (try sata(own).map { [$0] } ?? [])
      + (try usb(own).map { [$0] } ?? []) + (try networks(configuration)) + randomNumbers(own)
      + (try balloon(configuration)) + own.pciDevices
    let places = try PCISlots.places(for: devices, in: freeSlots)
    var functions: [(PCIAddress, any PCIFunction)] = []
    for (device, slot) in zip(devices, places) {
      let address = PCIAddress(device: slot)
      var context = context
      context.interruptLine = line(address)
      functions.append(
        (address, try Self.device { () throws(DeviceError) in try device.make(context) }))
    }
    return functions
  }

  /// The display, if there is one. In the last slot, so that disks keep theirs.
  private static func display(_ own: PersonalComputerConfiguration) -> PCIDeviceConfiguration? {
    guard let display = own.display else { return nil }
    return PCIDeviceConfiguration(slot: freeSlots.upperBound) { (context) throws(DeviceError) in
      // It reads no RAM, and viewers may hold it a little longer than its machine.
      var context = context
      context.memory = nil
      return try BochsDisplay(width: display.width, height: display.height, context: context)
    }
  }

  /// The SATA adapter, if there is one. In the slot before the display's.
  private static func sata(
    _ own: PersonalComputerConfiguration
  ) throws(MachineError) -> PCIDeviceConfiguration? {
    let ports = own.sataPorts
    guard !ports.isEmpty else { return nil }
    guard AHCIController.portCounts.contains(ports.count) else {
      throw .configuration(
        "\(ports.count) SATA devices: at most \(AHCIController.portCounts.upperBound) fit")
    }
    return PCIDeviceConfiguration(slot: sataSlot) { context in
      AHCIController(ports: ports, context: context)
    }
  }

  /// The USB controller, if something is plugged in. In the slot before the SATA adapter's.
  private static func usb(
    _ own: PersonalComputerConfiguration
  ) throws(MachineError) -> PCIDeviceConfiguration? {
    let devices = own.usbDevices
    guard !devices.isEmpty else { return nil }
    guard Set(devices).count == devices.count else {
      throw .configuration("a USB device is there twice")
    }
    return PCIDeviceConfiguration(slot: usbSlot) { context in
      XHCIController(devices, context: context)
    }
  }

  /// The network cards. Their threads have a role of their own.
  private static func networks(
    _ configuration: MachineConfiguration
  ) throws(MachineError) -> [PCIDeviceConfiguration] {
    let cards = configuration.computer.networks
    guard cards.count <= NetworkSpec.maximumCount else {
      throw .configuration(
        "\(cards.count) network cards: at most \(NetworkSpec.maximumCount) fit")
    }
    guard cards.allSatisfy({ $0.address.count == 6 && $0.address[0] & 1 == 0 }) else {
      throw .configuration("the address of a network card is not one of 6 bytes, the first even")
    }
    let onThreadStart = configuration.onThreadStart
    return cards.enumerated().map { index, card in
      PCIDeviceConfiguration(slot: networkSlot - UInt8(index)) { context in
        var context = context
        context.onThreadStart = { onThreadStart(.network) }
        return switch card.card {
        case .e1000e:
          E1000EController(address: card.address, backend: card.backend, context: context)
        case .virtio:
          VirtioPCIDevice.network(card.backend, address: card.address, context: context)
        }
      }
    }
  }

  /// The source of random numbers, if there is one. In the slot before the last network card's.
  private static func randomNumbers(
    _ own: PersonalComputerConfiguration
  ) -> [PCIDeviceConfiguration] {
    guard own.hasRandomNumbers else { return [] }
    return [
      PCIDeviceConfiguration(slot: randomNumberSlot) { context in
        VirtioPCIDevice.randomNumbers(context: context)
      }
    ]
  }

  /// The memory balloon, if there is one. In the slot before the random numbers'. Its thread has a
  /// role of its own.
  private static func balloon(
    _ configuration: MachineConfiguration
  ) throws(MachineError) -> [PCIDeviceConfiguration] {
    guard let balloon = configuration.computer.balloon else { return [] }
    let byteCount = UInt64(balloon.targetPageCount) * UInt64(Balloon.pageByteCount)
    guard byteCount < configuration.memoryByteCount else {
      throw .configuration("a balloon of all of the guest's memory or more")
    }
    // Dynamic Memory serves it there.
    if configuration.hasVMBus { return [] }
    let onThreadStart = configuration.onThreadStart
    return [
      PCIDeviceConfiguration(slot: balloonSlot) { context in
        var context = context
        context.onThreadStart = { onThreadStart(.balloon) }
        return VirtioPCIDevice.balloon(balloon, context: context)
      }
    ]
  }

  private static func checkDisks(_ disks: [DiskConfiguration]) throws(MachineError) {
    guard disks.count <= freeSlots.count else {
      throw .configuration("\(disks.count) disks: at most \(freeSlots.count) fit")
    }
    for (index, disk) in disks.enumerated() {
      guard DiskSpec.isSerial(disk.serial) else {
        throw .configuration("disk \(index): its serial number is not 1 to 20 characters of ASCII")
      }
      // Linux drops a disk whose identifiers another one has already.
      guard !disks[..<index].contains(where: { $0.serial == disk.serial }) else {
        throw .configuration("two disks have the serial number \(disk.serial)")
      }
    }
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
    return KernelBoot(plan: plan, address: GPA(start), bytes: tables.blob(at: start))
  }

  /// Asks the operating system to shut down: by VMBus' shutdown service where it has a driver for
  /// that, else by the power button.
  ///
  /// - Returns: false if the guest does not listen.
  @discardableResult
  public func pressPowerButton() -> Bool {
    vmbus?.requestShutdown() == true || power.pressPowerButton()
  }

  /// What the guest does with VMBus; nil for a machine without it.
  public var vmbusActivity: VMBusActivity? { vmbus?.activity }

  /// What the disks do; nil for one whose lock was taken.
  var diskActivities: [NVMeActivity?] { disks.map(\.activity) }

  /// What is on the SATA adapter does, by port; empty without one, nil if its lock was taken.
  var sataActivities: [AHCIActivity]? { sata.map(\.activity) ?? [] }

  /// What the real-time clock's battery keeps: for `PersonalComputerConfiguration.keptClock` of the
  /// machine that comes after a reset.
  public var keptClock: RealTimeClock.Kept { clock.kept }

  /// What has threads and is not on PCI.
  private var others: [(name: String, device: any Device)] {
    [("TPM", tpm as (any Device)?), ("VMBus", vmbus?.host)].compactMap { name, device in
      device.map { (name, $0) }
    }
  }

  /// Starts the devices' threads.
  func start() throws(MachineError) {
    do throws(HostThread.Failure) {
      try clock.startTimer(onThreadStart: { [onThreadStart] in onThreadStart(.service) })
    } catch {
      throw .noThread("the real-time clock's thread", code: error.code)
    }
    try Self.device { () throws(DeviceError) in
      for (_, device) in others { try device.start() }
      try host.start()
    }
  }

  /// Runs `body`, giving a device's errors as the machine's.
  private static func device<R>(_ body: () throws(DeviceError) -> R) throws(MachineError) -> R {
    do throws(DeviceError) {
      return try body()
    } catch {
      switch error {
      case .unavailable(let what, let cure): throw .unavailable(what: what, cure: cure)
      }
    }
  }

  /// Pauses the devices and adds what they are; `resumeDevices` follows, after an error too.
  func saveDevices(to state: inout SavedState) throws(SavedStateError) {
    try host.pause()
    for (name, device) in others {
      do throws(StateError) {
        try device.pause()
      } catch {
        throw SavedStateError(part: name, reason: error)
      }
    }
    for (name, device) in parts { try state.save(device, as: name) }
    try host.saveState(to: &state)
  }

  /// Lets the devices go on.
  func resumeDevices() {
    for (_, device) in others { device.resume() }
    host.resume()
  }

  /// Makes the devices, which are as new, what they were.
  func restoreDevices(from state: SavedState) throws(SavedStateError) {
    for (name, device) in parts { try state.restore(device, from: name) }
    try host.restoreState(from: state)
  }

  /// The machine goes on from what was saved: the guest is told that this may not be the only time.
  func beginGeneration() {
    generation.renew()
    power.raiseGeneralEvent(ACPIFixedHardware.generationIDEvent)
  }

  /// Ends the devices' work, which waits for what was accepted, and the clock's interrupts.
  func stop() {
    clock.stopTimer()
    for (_, device) in others { device.stop() }
    host.stop()
    flashChip?.detach()
  }
}

/// A kernel and, in place of firmware, the tables it looks for.
private struct KernelBoot: MachineBoot {
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
