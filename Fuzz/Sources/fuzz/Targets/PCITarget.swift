internal import GuestMemory
internal import Synchronization

@testable internal import DeviceKit
@testable internal import Devices

/// Streams of configuration writes by ports and ECAM to the two bridges, two NVMe controllers and a
/// function with MSI, ports and memory behind BARs: BARs and the ECAM move over each other, the
/// ACPI ports over all ports; memory and port accesses meanwhile.
///
/// The controllers are not started, so that a stream always does the same; what they do is
/// `NVMeTarget`'s.
final class PCITarget: FuzzTarget {
  static let name = "pci"
  static let maximumInputByteCount = 1024

  private static let window: Range<UInt64> = 0xC000_0000..<0xFC00_0000
  private static let disks = [PCIAddress(device: 1), PCIAddress(device: 2)]
  /// The header, and the capabilities behind it: MSI-X, power management, PCI Express.
  private static let headerByteCount = 0x90
  private static let powerControl = 0x50
  private static let deviceControl = 0x5C
  private static let other = PCIAddress(device: 3)
  private let mapper: CheckedMapper
  private let function: MappedFunction
  private let host: PCIHost
  private let hostBridge = HostBridge()
  private let isaBridge: ISABridge
  private let configurationPorts: PCIConfigPorts
  private let ports: PortBus
  private let memory: MMIOBus
  /// Vendor, device, revision, class, header type and capabilities link at the start, by place.
  private let identities: [PCIAddress: [UInt64]]

  init() throws {
    let guest = try GuestMemory(layout: GuestMemoryLayout(ramByteCount: 1 << 20))
    let systemControl = SelectableLine(ISABridge.systemControlInterrupts.map { _ in CheckedLine() })
    let power = PowerManagement(timer: PMTimer { 0 }, line: systemControl) {}
    isaBridge = ISABridge(power: power, systemControl: systemControl)
    var functions: [(PCIAddress, any PCIFunction)] = [
      (HostBridge.address, hostBridge), (ISABridge.address, isaBridge),
    ]
    for (index, address) in Self.disks.enumerated() {
      let disk = NVMeController(
        store: ZeroStore(), identity: NVMeIdentity(serial: "\(index)"),
        history: NVMeHistory { 0 }, queuePairCount: 3,
        context: PCIContext(
          memory: guest, messages: NullMessageSink(), interruptLine: CheckedLine()))
      disk.stop()
      functions.append((address, disk))
    }
    mapper = CheckedMapper()
    function = try MappedFunction(
      PCIContext(
        memory: guest, messages: NullMessageSink(), interruptLine: CheckedLine(), mapper: mapper))
    functions.append((Self.other, function))
    host = PCIHost(functions)
    configurationPorts = PCIConfigPorts(host: host)
    ports = try PortBus(
      [(PCIConfigPorts.ports, configurationPorts)], decoder: PCIPorts(host: host, bridge: isaBridge)
    )
    memory = try MMIOBus([], decoder: PCIMemory(host: host, bridge: hostBridge))
    let host = host
    identities = Dictionary(
      uniqueKeysWithValues: host.addresses.map { ($0, Self.identity($0, host)) })
  }

  func run(_ input: FuzzInput) {
    host.reset()
    configurationPorts.reset()
    if input.bool {
      host.assignResources(window: Self.window, ports: 0xC000..<0xD000)
      hostBridge.placeConfiguration(at: 0xB000_0000)
      isaBridge.placePowerManagement(at: 0x600)
    }
    while !input.isEmpty {
      let action = input.byte
      switch action & 7 {
      case 0: accessPorts(input, isWrite: action & 8 != 0)
      case 1: accessExpress(input, isWrite: action & 8 != 0)
      case 2...3 where action & 0x30 == 0x30: setOther(input)
      case 2...3: setBAR(input)
      case 4 where action & 8 != 0: setPower(input)
      case 4: setCommand(input)
      case 5: action & 8 != 0 ? moveExpress(input) : movePorts(input)
      default: accessWindow(input, isWrite: action & 8 != 0)
      }
      checkMapping()
    }
    checkBridges()
    for address in host.addresses {
      require(
        Self.identity(address, host) == identities[address], "\(address) changed its identity")
      for bar in host.function(at: address)?.configuration.bars ?? [] {
        let low = host.readConfiguration(address, offset: bar.offset, width: 4)
        require(
          low & 0xF == UInt64(bar.typeBits) && low & (bar.byteCount - 1) & ~0xF == 0,
          "\(address): BAR \(bar.index) reads \(low)")
      }
    }
  }

  private static func identity(_ address: PCIAddress, _ host: PCIHost) -> [UInt64] {
    [(0, 4), (8, 4), (0x0E, 1), (0x2C, 4), (0x34, 4), (0x3D, 1)].map { offset, width in
      host.readConfiguration(address, offset: offset, width: width)
    }
  }

  // MARK: Configuration

  private func accessPorts(_ input: FuzzInput, isWrite: Bool) {
    let choice = input.byte
    let port = 0xCF8 + UInt16(choice & 7)
    let width = 1 << Int(choice >> 3 & 3) % 3
    // Half of the writes to the address register select something that is there.
    let value =
      choice & 0x80 == 0
      ? input.uint32
      : 1 << 31 | UInt32(input.pick(host.addresses).encoded) << 8 | UInt32(input.byte & 0xFC)
    if isWrite {
      ports.write(port: port, width: width, value: value)
    } else {
      _ = ports.read(port: port, width: width)
    }
  }

  private func accessExpress(_ input: FuzzInput, isWrite: Bool) {
    let choice = input.byte
    let place = UInt64(input.pick(host.addresses).encoded) << 12
    let offset =
      switch choice & 3 {
      case 0: input.anyMagnitude & 0xFFF_FFFF
      case 1: place + UInt64(input.uint16 & 0xFFF)
      default: place + UInt64(input.index(below: Self.headerByteCount))
      }
    let width = 1 + Int(choice >> 2 & 7)
    // Where it is, or where it may have been.
    let address = (hostBridge.configurationRange?.start ?? 0xB000_0000) + offset
    if isWrite {
      memory.write(address: address, width: width, value: input.uint64)
    } else {
      _ = memory.read(address: address, width: width)
    }
  }

  /// Puts a disk's BAR onto one of a few places, so that they meet.
  private func setBAR(_ input: FuzzInput) {
    let choice = input.byte
    let place = Self.window.lowerBound + UInt64(choice >> 4) << 13
    let disk = Self.disks[Int(choice & 1)]
    let high: UInt64 = choice & 0xE == 0xE ? 1 : 0
    host.writeConfiguration(disk, offset: 0x10, width: 4, value: place)
    if choice & 2 != 0 { host.writeConfiguration(disk, offset: 0x14, width: 4, value: high) }
  }

  /// The other function: its BARs onto the disks' places, its command register, MSI, interrupts,
  /// ports.
  private func setOther(_ input: FuzzInput) {
    let choice = input.byte
    let place = UInt64(choice >> 4)
    switch choice & 7 {
    case 0: write(0x10, 4, Self.window.lowerBound + place << 13)
    case 1: write(0x14, 4, 0xC000 + place << 4)
    case 2: write(4, 2, place & 7 | (place & 8) << 7)
    case 3: write(0x42, 2, place & 1 | place << 4)
    case 4: write(0x50, 4, place)
    case 5:
      function.endpoint.signal(Int(place))
      function.endpoint.setPin(place & 1 == 1)
    case 6: ports.write(port: 0xC000 + UInt16(input.byte), width: 1, value: UInt32(place))
    default:
      _ = ports.read(port: 0xC000 + UInt16(input.byte), width: 1 << Int(place) % 3)
      let pages = function.endpoint.takeWrittenPages(ofBAR: 0)
      require(pages.count == 1 && pages[0] >> 4 == 0, "pages \(pages)")
    }
  }

  private func write(_ offset: Int, _ width: Int, _ value: UInt64) {
    host.writeConfiguration(Self.other, offset: offset, width: width, value: value)
  }

  /// The memory is mapped where it is decoded and alone, and nowhere else.
  private func checkMapping() {
    let start = host.readConfiguration(Self.other, offset: 0x10, width: 4) & 0xFFFF_C000
    let isDecoded = host.readConfiguration(Self.other, offset: 4, width: 2) & 2 != 0
    let own = start..<(start + MappedFunction.byteCount)
    let isAlone =
      !Self.disks.contains { disk in
        host.readConfiguration(disk, offset: 4, width: 2) & 2 != 0
          && host.readConfiguration(disk, offset: Self.powerControl, width: 2) & 3 != 3
          && own.overlaps(decodedRange(of: disk))
      } && !(hostBridge.configurationRange?.addresses.overlaps(own) ?? false)
    let expected = isDecoded && isAlone ? start : nil
    require(mapper.address == expected, "mapped at \(mapper.address ?? 0), not \(expected ?? 0)")
  }

  private func decodedRange(of disk: PCIAddress) -> Range<UInt64> {
    let start = host.readConfiguration(disk, offset: 0x10, width: 4) & 0xFFFF_C000
    return start..<(start + 0x4000)
  }

  /// Sleep, waking up, and function level resets.
  private func setPower(_ input: FuzzInput) {
    let choice = input.byte
    let disk = Self.disks[Int(choice & 1)]
    if choice & 0x30 == 0x30 {
      host.writeConfiguration(disk, offset: Self.deviceControl, width: 2, value: 0x8000)
    } else {
      host.writeConfiguration(
        disk, offset: Self.powerControl, width: 2, value: UInt64(choice >> 1 & 3))
    }
  }

  /// *Memory Space*, *Bus Master* and *Interrupt Disable*, and MSI-X's control.
  private func setCommand(_ input: FuzzInput) {
    let choice = input.byte
    let disk = Self.disks[Int(choice & 1)]
    let command = UInt64(choice >> 1 & 7) << 1 | UInt64(choice >> 4 & 1) << 10
    host.writeConfiguration(disk, offset: 4, width: 2, value: command)
    if choice & 0x20 != 0 {
      host.writeConfiguration(disk, offset: 0x42, width: 2, value: UInt64(choice & 0xC0) << 8)
    }
  }

  /// *PCIEXBAR*: over the BARs' places most of the time.
  private func moveExpress(_ input: FuzzInput) {
    let choice = input.byte
    let value =
      choice & 0xF0 == 0
      ? input.uint64 : UInt64(0xB + choice >> 4 & 3) << 28 | UInt64(choice & 0xF) << 24
    let width = [1, 2, 4, 8][Int(choice & 3)]
    let offset = 0x60 + (choice & 0xF0 == 0 ? input.index(below: 8) : 0)
    host.writeConfiguration(
      HostBridge.address, offset: offset, width: width, value: value | UInt64(choice & 7))
    checkBridges()
  }

  /// *PMBASE* and *ACPI_CNTL*, and an access there.
  private func movePorts(_ input: FuzzInput) {
    let choice = input.byte
    let offset = choice & 1 == 0 ? 0x40 : 0x44
    host.writeConfiguration(
      ISABridge.address, offset: offset, width: 1 << Int(choice >> 1 & 3) % 3,
      value: UInt64(input.uint16))
    checkBridges()
    let port = isaBridge.powerManagementBase &+ UInt16(input.byte)
    if choice & 8 != 0 {
      ports.write(port: port, width: 1 << Int(choice >> 4) % 3, value: input.uint32)
    } else {
      _ = ports.read(port: port, width: 1 << Int(choice >> 4) % 3)
    }
  }

  /// What is decoded is what the registers say.
  private func checkBridges() {
    let express = host.readConfiguration(HostBridge.address, offset: 0x60, width: 8)
    let range = hostBridge.configurationRange
    if let range {
      require(
        range.start == express & ~7 && express & 1 == 1 && range.start % range.byteCount == 0,
        "PCIEXBAR \(express) decodes \(range)")
    } else {
      require(express & 1 == 0 || express & 6 == 6, "PCIEXBAR \(express) decodes nothing")
    }
    let base = host.readConfiguration(ISABridge.address, offset: 0x40, width: 4)
    let isOn = host.readConfiguration(ISABridge.address, offset: 0x44, width: 1) & 0x80 != 0
    require(base & 0xFFFF_007F == 1, "PMBASE \(base)")
    require(
      (isaBridge.read(at: base & ~1, width: 1) != nil) == isOn, "ACPI ports at \(base): \(isOn)")
    require(ISABridge.systemControlInterrupts.contains(isaBridge.systemControlInterrupt), "SCI")
  }

  // MARK: Memory

  private func accessWindow(_ input: FuzzInput, isWrite: Bool) {
    let choice = input.byte
    let base =
      choice & 1 == 0
      ? Self.window.lowerBound + UInt64(choice >> 4) << 13
      : Self.window.lowerBound + UInt64(input.uint32) % UInt64(Self.window.count)
    let offset =
      switch choice >> 1 & 3 {
      case 0: UInt64(input.byte)
      case 1: 0x1000 + UInt64(input.byte)
      case 2: 0x2000 + UInt64(input.byte)
      default: UInt64(input.uint16)
      }
    let address = min(base + offset, Self.window.upperBound - 1)
    let width = [1, 2, 4, 8][Int(choice >> 3 & 1) * 2 + Int(input.byte & 1)]
    guard !isWrite else { return memory.write(address: address, width: width, value: input.uint64) }
    let value = memory.read(address: address, width: width)
    checkRead(address, width, value)
  }

  /// Where no BAR is decoded all ones are read; where some are, in the table of vectors, what one
  /// has.
  private func checkRead(_ address: UInt64, _ width: Int, _ value: UInt64) {
    let mask = UInt64.max >> UInt64(64 - 8 * width)
    // What lies under the ECAM is not seen.
    if let express = hostBridge.configurationRange, express.addresses.contains(address) { return }
    let places = Self.disks.compactMap { disk -> (any PCIFunction, UInt64)? in
      guard let function = host.function(at: disk),
        host.readConfiguration(disk, offset: 4, width: 2) & 2 != 0,
        host.readConfiguration(disk, offset: Self.powerControl, width: 2) & 3 != 3
      else { return nil }
      let start = host.readConfiguration(disk, offset: 0x10, width: 8) & ~0x3FFF
      guard address >= start, address - start <= 0x4000 - UInt64(width) else { return nil }
      return (function, address - start)
    }
    let other = host.readConfiguration(Self.other, offset: 0x10, width: 4) & 0xFFFF_C000
    if host.readConfiguration(Self.other, offset: 4, width: 2) & 2 != 0,
      (other..<(other + MappedFunction.byteCount)).contains(address)
    {
      return
    }
    if places.isEmpty { require(value == mask, "\(address) of nobody reads \(value)") }
    guard !places.isEmpty, places.allSatisfy({ (0x2000..<0x3000).contains($0.1) }) else { return }
    require(
      places.contains { function, offset in
        (function.endpoint.readBAR(0, offset: offset, width: width)
          ?? function.readBAR(0, offset: offset, width: width)) & mask == value
      }, "\(address) reads \(value), which nobody has there")
  }
}

/// A function with memory behind BAR 0, ports behind BAR 1, and MSI.
private final class MappedFunction: PCIFunction {
  static let byteCount: UInt64 = 0x4000
  let endpoint: PCIEndpoint

  init(_ context: PCIContext) throws {
    var space = PCIConfigurationSpace(
      identity: PCIIdentity(vendor: 0x1234, device: 1, classCode: 0xFF_0000), interruptPin: 1)
    space.addBAR(
      PCIBAR(index: 0, byteCount: Self.byteCount),
      memory: try DeviceMemory(byteCount: Int(Self.byteCount)), logsWrites: true)
    space.addBAR(PCIBAR(index: 1, portCount: 16))
    space.addMSI(vectorCount: 8)
    endpoint = PCIEndpoint(space, context: context)
  }
}

/// Maps anything, one at a time, and says where.
private final class CheckedMapper: MemoryMapper {
  private let place = Mutex<UInt64?>(nil)

  var address: UInt64? { place.withLock { $0 } }

  func map(
    _ memory: DeviceMemory, at address: UInt64, logsWrites: Bool
  ) -> (any MemoryMapping)? {
    place.withLock { place in
      require(place == nil, "mapped twice, at \(place ?? 0) and \(address)")
      place = address
    }
    return Mapping(self)
  }

  private final class Mapping: MemoryMapping {
    private let mapper: CheckedMapper

    init(_ mapper: CheckedMapper) { self.mapper = mapper }

    func addWrittenPages(to words: inout [UInt64]) -> Bool {
      words[0] |= 1
      return true
    }

    func setLogsWrites(_ logsWrites: Bool) -> Bool { true }

    func unmap() {
      mapper.place.withLock { place in
        require(place != nil, "unmapped twice")
        place = nil
      }
    }
  }
}

/// A disk that nobody reads.
final class ZeroStore: BlockStore {
  let byteCount: UInt64 = 1 << 20
  let isReadOnly = false

  func read(
    at offset: UInt64, byteCount: Int, into memory: GuestMemory, at address: GPA
  ) throws(BlockStoreError) {}

  func write(
    at offset: UInt64, byteCount: Int, from memory: GuestMemory, at address: GPA
  ) throws(BlockStoreError) {}

  func flush() throws(BlockStoreError) {}
  func discard(at offset: UInt64, byteCount: UInt64) throws(BlockStoreError) {}

  func writeZeroes(
    at offset: UInt64, byteCount: UInt64, mayDiscard: Bool
  ) throws(BlockStoreError) {}
}
