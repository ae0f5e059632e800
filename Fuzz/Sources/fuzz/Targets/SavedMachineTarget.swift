internal import VMM

@testable internal import DeviceKit
@testable internal import Devices
@testable internal import GuestMemory

/// Files of saved machines, also with a checksum that fits, and the states of all that a PC has
/// beside its disks and adapters: any bytes, or real ones with some changed. What was accepted is
/// driven by accesses, saved, and restored once more: the same bytes come back.
final class SavedMachineTarget: FuzzTarget {
  static let name = "saved-machine"
  static let maximumInputByteCount = 2048

  private static let ramByteCount: UInt64 = 1 << 20
  /// What is in front of a file's body: signature and version; the checksum is behind it.
  private static let headerByteCount = 20

  /// Devices that are saved together, in the order in which they are restored.
  private struct Subject {
    let devices: [any StatefulDevice]
    /// One access, or what the host does.
    let access: (FuzzInput) -> Void

    init(_ devices: [any StatefulDevice], _ access: @escaping (FuzzInput) -> Void) {
      self.devices = devices
      self.access = access
    }

    /// A device with registers from offset 0 on.
    init<D: BusDevice & StatefulDevice>(_ device: D, host: @escaping (FuzzInput) -> Void = { _ in })
    {
      devices = [device]
      access = { input in
        let action = input.byte
        let (offset, width) = (UInt64(input.byte), 1 << Int(action >> 4 & 3))
        switch action & 3 {
        case 0: _ = device.read(offset: offset, width: width)
        case 1...2: device.write(offset: offset & 0xF, width: width, value: input.uint64)
        default: host(input)
        }
      }
    }

    func save() -> [[UInt8]] {
      devices.map { device in
        var transfer = StateTransfer()
        do {
          try device.transferState(&transfer)
        } catch {
          fatalError("\(type(of: device)) is not saved: \(error)")
        }
        return transfer.bytes
      }
    }

    func restore(_ states: [[UInt8]]) -> StateError? {
      for (device, bytes) in zip(devices, states) {
        var transfer = StateTransfer(restoring: bytes)
        do throws(StateError) {
          try device.transferState(&transfer)
          try transfer.finish()
        } catch {
          return error
        }
      }
      return nil
    }
  }

  private let memory: GuestMemory
  private let clock = StreamClock(nanoseconds: 1_700_000_000_123_456_789)
  private let items: FirmwareItems
  private var kinds: [() -> Subject] = []
  /// What each saves after a driver has worked with it.
  private var used: [[[UInt8]]] = []
  private var empty: [UInt8] = []

  init() throws {
    memory = try GuestMemory(layout: GuestMemoryLayout(ramByteCount: Self.ramByteCount))
    var items = FirmwareItems(
      vcpuCount: 2, memoryByteCount: Self.ramByteCount, uuid: [UInt8](repeating: 7, count: 16))
    try items.add("opt/fuzz", [UInt8]((0..<200).map { UInt8($0) }))
    try items.addLate([("opt/late", 40), ("opt/later", 8)]) { [[1, 2, 3], [4]] }
    for file in SystemManagementControl(onInterrupt: {}).files { try items.addLive(file) }
    self.items = items
    kinds = [
      makeClock, makeSerialPort, makeKeyboard, makePower, makeSmallOnes, makeFirmwareConfiguration,
      makeFlash, makeBus,
    ]
    for make in kinds {
      let subject = make()
      let script = FuzzInput((0..<1200).map { UInt8(truncatingIfNeeded: $0 &* $0 / 7 &+ $0) })
      for _ in 0..<80 { subject.access(script) }
      used.append(subject.save())
    }
    empty = SavedMachine().encoded
  }

  func run(_ input: FuzzInput) {
    let choice = input.byte
    switch choice & 0xF {
    case 0: decode(input.rest)
    case 1...3: decodeBody(input.rest)
    default: restore(Int(choice >> 4) % kinds.count, input)
    }
  }

  // MARK: Files

  private func decode(_ bytes: [UInt8]) {
    guard let machine = try? SavedMachine(decoding: bytes) else { return }
    let encoded = machine.encoded
    let again = try? SavedMachine(decoding: encoded)
    require(again?.encoded == encoded, "a file that is not read as it was written")
    // Whatever the pages are, a machine of this size refuses them or has them.
    _ = again.map { try? memory.restore($0.memory, from: -1) { true } }
  }

  private func decodeBody(_ body: [UInt8]) {
    let bytes = Array(empty.prefix(Self.headerByteCount)) + body
    let sum = unsafe bytes.withUnsafeBytes { unsafe PageChecksum.value(of: $0) }
    decode(bytes + (0..<8).map { UInt8(truncatingIfNeeded: sum >> (8 * $0)) })
  }

  // MARK: Devices

  private func restore(_ kind: Int, _ input: FuzzInput) {
    var states = used[kind]
    let changeCount = input.byte
    if changeCount & 0x80 != 0 {
      let count = Int(input.uint16)
      states[Int(changeCount & 0x7F) % states.count] = input.bytes(count)
    } else {
      for _ in 0..<changeCount & 0xF { change(&states, input) }
    }
    let subject = kinds[kind]()
    guard subject.restore(states) == nil else { return }
    var accessCount = 0
    while !input.isEmpty, accessCount < 128 {
      subject.access(input)
      accessCount += 1
    }
    // A clock notices when it is restored what has happened since: the first time may differ.
    let first = copy(subject.save(), kind, mayDiffer: kind == 0)
    _ = copy(first, kind, mayDiffer: false)
  }

  /// Restores what was saved, and saves it again.
  private func copy(_ saved: [[UInt8]], _ kind: Int, mayDiffer: Bool) -> [[UInt8]] {
    let subject = kinds[kind]()
    let refusal = subject.restore(saved)
    require(refusal == nil, "what was saved is refused: \(refusal!)")
    let again = subject.save()
    for (index, bytes) in again.enumerated() where bytes != saved[index] && !mayDiffer {
      fatalError("a \(type(of: subject.devices[index])) is saved as something else")
    }
    return again
  }

  /// A byte, or a number of any size.
  private func change(_ states: inout [[UInt8]], _ input: FuzzInput) {
    let choice = input.byte
    let part = Int(choice & 0x1F) % states.count
    guard !states[part].isEmpty else { return }
    let place = Int(input.uint16) % states[part].count
    if choice & 0x80 == 0 {
      states[part][place] = input.byte
    } else {
      let value = input.anyMagnitude
      for index in 0..<min(8, states[part].count - place) {
        states[part][place + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index))
      }
    }
  }

  // MARK: The kinds

  private func advance(_ input: FuzzInput) {
    let step = Int64(truncatingIfNeeded: input.anyMagnitude)
    clock.advance(by: step)
  }

  private func makeClock() -> Subject {
    let device = RealTimeClock(
      line: CheckedLine(), nanosecondsSince1970: { [clock] in clock.nanoseconds })
    return Subject(device) { [self] input in
      input.bool ? advance(input) : device.update()
    }
  }

  private func makeSerialPort() -> Subject {
    let device = UART16550(line: CheckedLine()) { _ in }
    return Subject(device) { input in
      let bytes = input.bytes(input.index(below: 20))
      require((0...bytes.count).contains(device.receive(bytes)), "took more than given")
    }
  }

  private func makeKeyboard() -> Subject {
    let device = KeyboardController(
      keyboardLine: CheckedLine(), mouseLine: CheckedLine(), onReset: {})
    let ports = device.attachments.map { $0.1 }
    return Subject([device]) { input in
      let action = input.byte
      let port = ports[action & 4 == 0 ? 0 : 1]
      switch action & 3 {
      case 0: _ = port.read(offset: 0, width: 1)
      case 1: port.write(offset: 0, width: 1, value: UInt64(input.byte))
      case 2: device.setKey(KeyboardKey(rawValue: input.byte), isDown: action & 8 != 0)
      default:
        device.setPointer(
          PointerState(
            x: Int(truncatingIfNeeded: input.anyMagnitude), y: Int(input.byte), width: 800,
            height: 600, buttons: PointerButtons(rawValue: action >> 3)))
        device.turnWheel(vertical: Int(truncatingIfNeeded: input.anyMagnitude), horizontal: 1)
      }
    }
  }

  private func makePower() -> Subject {
    let control = SystemManagementControl {}
    let device = PowerManagement(
      timer: PMTimer { [clock] in UInt64(bitPattern: clock.nanoseconds) }, line: CheckedLine(),
      management: control
    ) {}
    return Subject([device, control]) { [self] input in
      let action = input.byte
      let (offset, width) = (UInt64(input.byte & 0x3F), 1 << Int(action >> 4 & 3))
      switch action & 7 {
      case 0...1: _ = device.read(offset: offset, width: width)
      case 2...3: device.write(offset: offset, width: width, value: input.uint64)
      case 4: advance(input)
      case 5: control.write(offset: offset & 1, width: 1, value: UInt64(input.byte))
      case 6: device.pressPowerButton()
      default: device.update()
      }
    }
  }

  private func makeSmallOnes() -> Subject {
    let reset = ResetControl {}
    let system = SystemControlPort {}
    let presence = PhysicalPresenceMemory()
    let devices: [any BusDevice] = [reset, system, presence]
    return Subject([reset, system, presence]) { input in
      let device = input.pick(devices)
      let (offset, width) = (input.anyMagnitude, 1 << input.index(below: 4))
      if input.bool {
        _ = device.read(offset: offset, width: width)
      } else {
        device.write(offset: offset, width: width, value: input.uint64)
      }
    }
  }

  /// With commands of DMA at 4 KiB.
  private func makeFirmwareConfiguration() -> Subject {
    let device = FirmwareConfiguration(items: items, memory: memory)
    return Subject([device]) { [memory] input in
      let action = input.byte
      switch action & 3 {
      case 0: _ = device.read(offset: 1, width: 1)
      case 1: device.write(offset: 0, width: 2, value: UInt64(input.byte & 0x3F))
      case 2: device.write(offset: 4, width: 4, value: input.uint64)
      default:
        // Read, skip or write, perhaps after a choice, of a few bytes.
        let operation = UInt32(action & 0x1C) | (input.bool ? 2 : 16)
        let control = UInt32(input.byte & 0x3F) << 16 | operation
        try? memory.store(control.byteSwapped, at: GPA(0x1000))
        try? memory.store(UInt32(input.byte).byteSwapped, at: GPA(0x1004))
        try? memory.store((0x2000 as UInt64).byteSwapped, at: GPA(0x1008))
        device.write(offset: 4, width: 4, value: 0)
        device.write(offset: 8, width: 4, value: UInt64((0x1000 as UInt32).byteSwapped))
      }
    }
  }

  private func makeFlash() -> Subject {
    let store = VolatileFlashStore([UInt8](repeating: 0xA5, count: 8192))
    guard let device = try? FlashChip(store: store, onFailure: { _ in }) else {
      fatalError("no memory for a flash chip")
    }
    return Subject(device) { input in
      device.write(
        offset: UInt64(input.uint16), width: 1,
        value: input.pick([0x10, 0x20, 0x40, 0x50, 0x70, 0x90, 0x98, 0xD0, 0xFF]))
    }
  }

  /// Both bridges, a disk that is not started, a function with MSI, and the bus with its ports.
  private func makeBus() -> Subject {
    // Each with a wire of its own.
    func context() -> PCIContext {
      PCIContext(memory: memory, messages: NullMessageSink(), interruptLine: CheckedLine())
    }
    let hostBridge = HostBridge()
    let wires = SelectableLine(ISABridge.systemControlInterrupts.map { _ in CheckedLine() })
    let power = PowerManagement(timer: PMTimer { 0 }, line: wires) {}
    let isaBridge = ISABridge(power: power, systemControl: wires)
    let disk = NVMeController(
      store: ZeroStore(), identity: NVMeIdentity(serial: "1"), history: NVMeHistory { 0 },
      queuePairCount: 3, context: context())
    let function: ExampleFunction
    do {
      function = try ExampleFunction(context())
    } catch {
      fatalError("\(error)")
    }
    let functions: [(PCIAddress, any PCIFunction)] = [
      (HostBridge.address, hostBridge), (PCIAddress(device: 1), disk),
      (PCIAddress(device: 2), function), (ISABridge.address, isaBridge),
    ]
    let host = PCIHost(functions)
    let ports = PCIConfigPorts(host: host)
    let io = PCIPorts(host: host, bridge: isaBridge)
    let registers = PCIMemory(host: host, bridge: hostBridge)
    let places: [UInt64] = [0, 0xB000_0000, 0xC000_0000, 0xE000_0000, 0xFEB0_0000]
    return Subject(functions.map { $0.1 } + [power, ports, host]) { input in
      let action = input.byte
      let width = 1 << Int(action >> 4 & 3)
      switch action & 7 {
      case 0: _ = ports.read(offset: UInt64(action >> 6) + 4, width: width)
      case 1: ports.write(offset: action & 8 == 0 ? 0 : 4, width: 4, value: input.uint64)
      case 2:
        host.writeConfiguration(
          input.pick(functions).0, offset: Int(input.uint16 & 0xFFF), width: width,
          value: input.uint64)
      case 3:
        _ = host.readConfiguration(
          input.pick(functions).0, offset: Int(input.uint16 & 0xFFF), width: width)
      case 4: _ = registers.read(at: input.pick(places) &+ input.anyMagnitude, width: width)
      case 5:
        _ = registers.write(
          at: input.pick(places) &+ input.anyMagnitude, width: width, value: input.uint64)
      case 6:
        _ = io.read(at: UInt64(input.uint16), width: width)
        _ = io.write(at: UInt64(input.uint16), width: width, value: input.uint64)
      default:
        // The disk's pin follows its queues.
        function.endpoint.signal(Int(input.byte))
        if action & 8 != 0 { function.endpoint.setPin(input.bool) }
      }
    }
  }
}

/// A function with memory behind BAR 0, ports behind BAR 1, and MSI.
private final class ExampleFunction: PCIFunction {
  let endpoint: PCIEndpoint

  init(_ context: PCIContext) throws {
    var space = PCIConfigurationSpace(
      identity: PCIIdentity(vendor: 0x1234, device: 1, classCode: 0xFF_0000), interruptPin: 1)
    space.addBAR(
      PCIBAR(index: 0, byteCount: 0x4000), memory: try DeviceMemory(byteCount: 0x4000),
      logsWrites: true)
    space.addBAR(PCIBAR(index: 1, portCount: 16))
    space.addMSI(vectorCount: 8)
    endpoint = PCIEndpoint(space, context: context)
  }

  func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try endpoint.transferState(&transfer)
  }
}
