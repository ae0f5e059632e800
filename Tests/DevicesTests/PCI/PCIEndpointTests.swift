import GuestMemory
import Synchronization
import TestSupport
import Testing

@testable import DeviceKit

/// What an endpoint does of itself: memory for bus masters, MSI, MSI-X in a BAR, ports, memory
/// BARs.
@Suite(.onVCPUThread) struct PCIEndpointTests {
  private static let address = PCIAddress(device: 3)
  private static let bar = PCIBAR(index: 0, byteCount: 0x4000)
  private static let place: UInt64 = 0xC000_0000

  private let sink = RecordingSink()
  private let line = RecordingLine()

  private func context(mapper: (any MemoryMapper)? = nil) throws -> PCIContext {
    PCIContext(
      memory: try GuestMemory(layout: GuestMemoryLayout(ramByteCount: 1 << 20)), messages: sink,
      interruptLine: line, mapper: mapper)
  }

  private func host(_ function: FakeFunction) -> PCIHost {
    let host = PCIHost([(Self.address, function)])
    host.writeConfiguration(Self.address, offset: 0x10, width: 4, value: Self.place)
    return host
  }

  private func write(_ host: PCIHost, _ offset: Int, _ width: Int, _ value: UInt64) {
    host.writeConfiguration(Self.address, offset: offset, width: width, value: value)
  }

  @Test("memory is there while the function is bus master and awake")
  func memory() throws {
    let function = FakeFunction(bars: [Self.bar], isExpress: true, context: try context())
    let host = host(function)
    #expect(function.endpoint.memory == nil)
    write(host, 4, 2, 4)
    #expect(function.endpoint.memory != nil)
    write(host, 0x44, 2, 3)
    #expect(function.endpoint.memory == nil)
    write(host, 0x44, 2, 0)
    #expect(function.endpoint.memory != nil)
    write(host, 0x50, 2, 0x8000)
    #expect(function.endpoint.memory == nil)
    function.configuration.endFunctionReset()
    #expect(function.endpoint.memory == nil)
    write(host, 4, 2, 4)
    write(host, 4, 2, 2)
    #expect(function.endpoint.memory == nil)
  }

  @Test("without memory in its context a function reaches none")
  func noMemory() {
    let function = FakeFunction(bars: [Self.bar])
    write(host(function), 4, 2, 4)
    #expect(function.endpoint.memory == nil)
  }

  // MARK: MSI

  /// A function with 4 vectors, capability at 0x40, its guest having turned them on.
  private func messageHost(given: UInt64) throws -> (FakeFunction, PCIHost) {
    let function = FakeFunction(context: try context()) { $0.addMSI(vectorCount: 4) }
    let host = host(function)
    write(host, 4, 2, 4)
    write(host, 0x44, 8, 0xFEE0_1003)
    write(host, 0x4C, 2, 0x4321)
    write(host, 0x42, 2, 1 | given << 4)
    return (function, host)
  }

  @Test("MSI's registers, and which of their bits a guest can write")
  func messageRegisters() throws {
    let (_, host) = try messageHost(given: 0)
    for (offset, width, value) in [
      (0x40, 1, 0x05), (0x42, 2, 0x0185), (0x44, 8, 0xFEE0_1000), (0x4C, 4, 0x4321), (0x50, 4, 0),
      (0x54, 4, 0),
    ] {
      let read = host.readConfiguration(Self.address, offset: offset, width: width)
      #expect(read & (UInt64.max >> UInt64(64 - 8 * width)) == UInt64(value), "\(offset)")
    }
    for offset in stride(from: 0x40, to: 0x58, by: 4) { write(host, offset, 4, 0xFFFF_FFFF) }
    let values = stride(from: 0x40, to: 0x58, by: 4).map {
      host.readConfiguration(Self.address, offset: $0, width: 4) & 0xFFFF_FFFF
    }
    #expect(values == [0x01F5_0005, 0xFFFF_FFFC, 0xFFFF_FFFF, 0xFFFF, 0xF, 0])
  }

  @Test(
    "a vector is in the low bits of the data that the guest gave",
    arguments: [
      (0, [0x4321, 0x4321, 0x4321]), (1, [0x4320, 0x4321, 0x4321]), (2, [0x4320, 0x4321, 0x4323]),
      // Reserved: 32 vectors.
      (7, [0x4320, 0x4321, 0x4323]),
    ] as [(UInt64, [UInt32])])
  func messages(given: UInt64, data: [UInt32]) throws {
    let (function, _) = try messageHost(given: given)
    for vector in [0, 1, 3, 4, -1] { function.endpoint.signal(vector) }
    #expect(sink.messages == data.map { MSIMessage(address: 0xFEE0_1000, data: $0) })
  }

  @Test(
    "a masked vector, and all without Bus Master, are pending and sent once when that ends",
    arguments: [(0x50, 4, 2, 0), (4, 2, 0, 4)] as [(Int, Int, UInt64, UInt64)])
  func heldBack(offset: Int, width: Int, hold: UInt64, release: UInt64) throws {
    let (function, host) = try messageHost(given: 2)
    write(host, offset, width, hold)
    function.endpoint.signal(1)
    function.endpoint.signal(1)
    #expect(sink.messages.isEmpty)
    #expect(host.readConfiguration(Self.address, offset: 0x54, width: 4) & 0xFFFF_FFFF == 2)
    write(host, offset, width, release)
    #expect(sink.messages.map(\.data) == [0x4321])
    #expect(host.readConfiguration(Self.address, offset: 0x54, width: 4) & 0xFFFF_FFFF == 0)
  }

  @Test("what is pending when MSI goes off is forgotten; off, nothing is sent")
  func messagesOff() throws {
    let (function, host) = try messageHost(given: 2)
    write(host, 0x50, 4, 0xF)
    function.endpoint.signal(2)
    write(host, 0x42, 2, 0)
    function.endpoint.signal(2)
    write(host, 0x50, 4, 0)
    write(host, 0x42, 2, 1)
    #expect(sink.messages.isEmpty)
  }

  @Test("the pin is held back while messages are on")
  func pinOrMessages() throws {
    let (function, host) = try messageHost(given: 0)
    function.endpoint.setPin(true)
    #expect(line.levels.isEmpty)
    write(host, 0x42, 2, 0)
    write(host, 0x42, 2, 1)
    #expect(line.levels == [true, false])
  }

  // MARK: MSI-X in a BAR

  @Test("table and pending bits are the endpoint's, all else of the BAR the model's")
  func table() throws {
    let function = FakeFunction(bars: [Self.bar], context: try context()) {
      $0.addMSIX(vectorCount: 3, bar: Self.bar, tableOffset: 0x2000, pendingOffset: 0x3000)
    }
    let host = host(function)
    write(host, 4, 2, 6)
    #expect(host.writeMemory(Self.place + 0x2010, width: 8, value: 0xFEE0_2000))
    #expect(host.writeMemory(Self.place + 0x2018, width: 8, value: 0x55))
    #expect(host.writeMemory(Self.place + 0x3000, width: 8, value: .max))
    #expect(function.writes.values.isEmpty)
    #expect(host.readMemory(Self.place + 0x2010, width: 8) == 0xFEE0_2000)
    #expect(host.readMemory(Self.place + 0x3000, width: 8) == 0)
    for offset: UInt64 in [0x1FF8, 0x2030, 0x2FF8, 0x3008] {
      #expect(host.readMemory(Self.place + offset, width: 8) == 0xA << 32 | offset)
      #expect(host.writeMemory(Self.place + offset, width: 4, value: offset))
    }
    #expect(function.writes.values.map { $0[1] } == [0x1FF8, 0x2030, 0x2FF8, 0x3008])

    write(host, 0x42, 2, 0x8000)
    function.endpoint.signal(1)
    #expect(sink.messages == [MSIMessage(address: 0xFEE0_2000, data: 0x55)])
    // Messages are writes of memory.
    write(host, 4, 2, 2)
    function.endpoint.signal(1)
    #expect(sink.messages.count == 1)
    #expect(host.readMemory(Self.place + 0x3000, width: 8) == 2)
    write(host, 4, 2, 6)
    #expect(sink.messages.count == 2)
  }

  // MARK: Ports

  @Test("a BAR of ports answers at ports while I/O Space is on, and nowhere in memory")
  func ports() throws {
    let function = FakeFunction(bars: [PCIBAR(index: 1, portCount: 32)], context: try context())
    let host = PCIHost([(Self.address, function)])
    write(host, 0x14, 4, 0xFFFF_FFFF)
    #expect(
      host.readConfiguration(Self.address, offset: 0x14, width: 4) & 0xFFFF_FFFF == 0xFFFF_FFE1)
    write(host, 0x14, 4, 0xC020)
    write(host, 4, 2, 2)
    #expect(host.readPort(0xC024, width: 2) == nil)
    write(host, 4, 2, 1)
    #expect(host.readPort(0xC024, width: 2) == 0xA_0100_0004)
    #expect(host.writePort(0xC03F, width: 1, value: 7))
    #expect(function.writes.values == [[1, 0x1F, 1, 7]])
    for port: UInt64 in [0xC01F, 0xC040] { #expect(host.readPort(port, width: 1) == nil) }
    #expect(host.readPort(0xC03F, width: 2) == nil)
    #expect(host.readMemory(0xC024, width: 2) == nil)
  }

  @Test("places without firmware: memory and ports apart, each at a multiple of its size")
  func assignment() {
    let function = FakeFunction(
      bars: [
        PCIBAR(index: 0, portCount: 4), Self.bar, PCIBAR(index: 1, portCount: 64),
      ].sorted { $0.index < $1.index }.enumerated().map { index, bar in
        bar.isIO
          ? PCIBAR(index: index, portCount: bar.byteCount)
          : PCIBAR(index: index, byteCount: bar.byteCount)
      })
    let host = PCIHost([(Self.address, function)])
    host.assignResources(window: 0xC000_0000..<0xC001_0000, ports: 0xC010..<0xD000)
    let places = function.configuration.bars.map { function.configuration.address(of: $0) }
    for (bar, place) in zip(function.configuration.bars, places) {
      #expect(place % bar.byteCount == 0)
      #expect(bar.isIO ? (0xC010..<0xD000).contains(place) : place == 0xC000_0000)
    }
    #expect(Set(places).count == 3)
  }

  // MARK: Memory BARs

  private static let frames = PCIBAR(index: 0, byteCount: 0x10_0000)

  private func framesHost(_ mapper: RecordingMapper) throws -> (FakeFunction, DeviceMemory, PCIHost)
  {
    let memory = try DeviceMemory(byteCount: 0x10_0000)
    let function = FakeFunction(bars: [], context: try context(mapper: mapper)) {
      $0.addBAR(Self.frames, memory: memory, logsWrites: true)
    }
    let other = FakeFunction(name: 0xB, bars: [Self.bar])
    let host = PCIHost([(Self.address, function), (PCIAddress(device: 4), other)])
    write(host, 0x10, 4, Self.place)
    return (function, memory, host)
  }

  @Test("a BAR with memory is mapped while decoded, moves, and goes")
  func mapped() throws {
    let mapper = RecordingMapper()
    let (_, _, host) = try framesHost(mapper)
    #expect(mapper.events.isEmpty)
    write(host, 4, 2, 2)
    write(host, 0x10, 4, 0xD000_0000)
    write(host, 0x3C, 1, 7)
    write(host, 4, 2, 0)
    host.reset()
    #expect(
      mapper.events == [
        "map C0000000", "unmap C0000000", "map D0000000", "unmap D0000000",
      ])
  }

  @Test("under another BAR it is not mapped, and the order of BARs decides")
  func overlapped() throws {
    let mapper = RecordingMapper()
    let (_, memory, host) = try framesHost(mapper)
    memory.write([0x11, 0x22], at: 0x8000)
    write(host, 4, 2, 2)
    let other = PCIAddress(device: 4)
    host.writeConfiguration(other, offset: 0x10, width: 4, value: Self.place + 0x4000)
    host.writeConfiguration(other, offset: 4, width: 2, value: 2)
    #expect(mapper.events == ["map C0000000", "unmap C0000000"])
    #expect(host.readMemory(Self.place + 0x4000, width: 4) == 0xB_0000_0000)
    #expect(host.readMemory(Self.place + 0x8000, width: 2) == 0x2211)
    host.writeConfiguration(other, offset: 0x10, width: 4, value: 0xE000_0000)
    #expect(mapper.events.last == "map C0000000")
  }

  @Test("where it cannot be mapped accesses read and write the memory, and pages are known")
  func trapped() throws {
    let mapper = RecordingMapper()
    mapper.refuses = true
    let (function, memory, host) = try framesHost(mapper)
    write(host, 4, 2, 2)
    #expect(host.writeMemory(Self.place + 0x1FFC, width: 8, value: 0x0807_0605_0403_0201))
    #expect(memory.read(at: 0x1FFC, byteCount: 8) == [1, 2, 3, 4, 5, 6, 7, 8])
    #expect(host.writeMemory(Self.place + 0xF_FFFF, width: 1, value: 9))
    #expect(host.readMemory(Self.place + 0xF_FFFF, width: 1) == 9)
    #expect(host.readMemory(Self.place + 0xF_FFFF, width: 2) == nil)
    #expect(function.writes.values.isEmpty)
    #expect(function.endpoint.takeWrittenPages(ofBAR: 0) == [0b110, 0, 0, 1 << 63])
    #expect(function.endpoint.takeWrittenPages(ofBAR: 0) == [0, 0, 0, 0])
    #expect(function.endpoint.takeWrittenPages(ofBAR: 1) == [])
  }

  @Test("pages written in a mapping are taken once; all count when it goes")
  func writtenPages() throws {
    let mapper = RecordingMapper()
    let (function, _, host) = try framesHost(mapper)
    write(host, 4, 2, 2)
    mapper.written = [5, 0, 1, 0]
    #expect(function.endpoint.takeWrittenPages(ofBAR: 0) == [5, 0, 1, 0])
    #expect(function.endpoint.takeWrittenPages(ofBAR: 0) == [0, 0, 0, 0])
    write(host, 4, 2, 0)
    #expect(function.endpoint.takeWrittenPages(ofBAR: 0) == [.max, .max, .max, .max])
  }

  @Test("the log of a mapping ends and starts while it is there; after a start all pages count")
  func logSwitch() throws {
    let mapper = RecordingMapper()
    let (function, _, host) = try framesHost(mapper)
    let all: [UInt64] = [.max, .max, .max, .max]
    write(host, 4, 2, 2)
    #expect(function.endpoint.takeWrittenPages(ofBAR: 0) == [0, 0, 0, 0])
    function.endpoint.setLogsWrites(false, ofBAR: 0)
    function.endpoint.setLogsWrites(false, ofBAR: 0)
    #expect(mapper.events == ["map C0000000", "log off C0000000"])
    // Not known: all.
    #expect(function.endpoint.takeWrittenPages(ofBAR: 0) == all)
    #expect(function.endpoint.takeWrittenPages(ofBAR: 0) == all)
    function.endpoint.setLogsWrites(true, ofBAR: 0)
    #expect(mapper.events.last == "log on C0000000")
    #expect(function.endpoint.takeWrittenPages(ofBAR: 0) == all)
    mapper.written = [4, 0, 0, 0]
    #expect(function.endpoint.takeWrittenPages(ofBAR: 0) == [4, 0, 0, 0])
    // One that the log cannot be turned on for is made anew.
    function.endpoint.setLogsWrites(false, ofBAR: 0)
    mapper.refusesLog = true
    function.endpoint.setLogsWrites(true, ofBAR: 0)
    #expect(mapper.events.suffix(2) == ["unmap C0000000", "map C0000000"])
    // Without a mapping it is kept for the next one.
    write(host, 4, 2, 0)
    function.endpoint.setLogsWrites(false, ofBAR: 0)
    function.endpoint.setLogsWrites(true, ofBAR: 1)
    write(host, 4, 2, 2)
    #expect(mapper.logs == [true, true, false])
  }
}

/// Notes what is mapped.
private final class RecordingMapper: MemoryMapper {
  private struct State {
    var events: [String] = []
    var refuses = false
    var refusesLog = false
    var logs: [Bool] = []
    var written: [UInt64] = []
  }

  private let state = Mutex(State())

  var events: [String] { state.withLock { $0.events } }

  var refuses: Bool {
    get { state.withLock { $0.refuses } }
    set { state.withLock { $0.refuses = newValue } }
  }

  var refusesLog: Bool {
    get { state.withLock { $0.refusesLog } }
    set { state.withLock { $0.refusesLog = newValue } }
  }

  /// Whether each mapping began with a log.
  var logs: [Bool] { state.withLock { $0.logs } }

  /// What the next look finds.
  var written: [UInt64] {
    get { state.withLock { $0.written } }
    set { state.withLock { $0.written = newValue } }
  }

  func map(
    _ memory: DeviceMemory, at address: UInt64, logsWrites: Bool
  ) -> (any MemoryMapping)? {
    guard !refuses else { return nil }
    note("map", address)
    state.withLock { $0.logs.append(logsWrites) }
    return Mapping(self, address)
  }

  private func note(_ event: String, _ address: UInt64) {
    state.withLock { $0.events.append("\(event) \(String(address, radix: 16, uppercase: true))") }
  }

  private final class Mapping: MemoryMapping {
    private let mapper: RecordingMapper
    private let address: UInt64

    init(_ mapper: RecordingMapper, _ address: UInt64) {
      self.mapper = mapper
      self.address = address
    }

    func addWrittenPages(to words: inout [UInt64]) -> Bool {
      for (index, word) in mapper.written.enumerated() { words[index] |= word }
      mapper.written = []
      return true
    }

    func setLogsWrites(_ logsWrites: Bool) -> Bool {
      guard !mapper.refusesLog else { return false }
      mapper.note(logsWrites ? "log on" : "log off", address)
      return true
    }

    func unmap() { mapper.note("unmap", address) }
  }
}
