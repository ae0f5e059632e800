internal import Bytes
internal import DeviceKit
internal import GuestMemory
internal import HostSystem

/// The part of a host bus adapter that its threads work on: registers of all ports, commands.
///
/// Lock order: `state`, then a device's, then those of the endpoint. No command runs under
/// `state`.
final class AHCIEngine: Sendable {
  /// Offsets of generic registers; the ports' follow. Source: AHCI 1.3.1 §3.1.
  private enum Register {
    static let capabilities: UInt64 = 0x00
    static let control: UInt64 = 0x04
    static let interruptStatus: UInt64 = 0x08
    static let portsImplemented: UInt64 = 0x0C
    static let version: UInt64 = 0x10
    static let firstPort: UInt64 = 0x100
    static let portByteCount: UInt64 = 0x80
  }

  /// *GHC*: AHCI is on, as there is nothing else; interrupts; reset.
  private static let ahciEnable: UInt32 = 1 << 31
  private static let interruptEnable: UInt32 = 1 << 1
  private static let hostReset: UInt32 = 1 << 0
  /// 64-bit addresses, *CLO*, generation 1, AHCI only, slumber and partial, 32 commands. No native
  /// command queuing.
  private static let capabilities: UInt32 =
    1 << 31 | 1 << 24 | 1 << 20 | 1 << 18 | 1 << 14 | 1 << 13 | 31 << 8
  private static let version: UInt32 = 0x0001_0300
  private static let headerByteCount = 32
  /// A command FIS, and a packet behind it.
  private static let packetOffset = 0x40
  private static let packetByteCount = 16
  private static let tableOffset: UInt64 = 0x80
  /// Places in the memory for received FISes.
  private static let pioSetupOffset: UInt64 = 0x20
  private static let registerOffset: UInt64 = 0x40

  struct State: Sendable {
    var isInterruptEnabled = false
    var ports: [AHCIPort]
    var isResetting = false
    var isInterrupting = false
  }

  private let endpoint: PCIEndpoint
  let devices: [any SATADevice]
  let work: WorkList
  let state: Guarded<State>
  /// How often a command ended after it was given up: `reset` sleeps on it.
  private let endCount = FutexWord()

  init(endpoint: PCIEndpoint, devices: [any SATADevice]) {
    self.endpoint = endpoint
    self.devices = devices
    work = WorkList(count: devices.count)
    state = Guarded(State(ports: devices.map { AHCIPort($0.signature) }))
  }

  // MARK: Registers, on vCPU threads

  func read(offset: UInt64, width: Int) -> UInt64 {
    state.withLock { state in
      let low = offset & ~3
      let value = UInt64(read(low, state)) | UInt64(read(low + 4, state)) << 32
      return value >> (8 * (offset & 3))
    }
  }

  private func read(_ offset: UInt64, _ state: State) -> UInt32 {
    switch offset {
    case Register.capabilities: return Self.capabilities | UInt32(devices.count - 1)
    case Register.control:
      return Self.ahciEnable | (state.isInterruptEnabled ? Self.interruptEnable : 0)
        | (state.isResetting ? Self.hostReset : 0)
    case Register.interruptStatus:
      return state.ports.enumerated().reduce(0) { status, port in
        status | (port.element.isInterrupting ? 1 << UInt32(port.offset) : 0)
      }
    case Register.portsImplemented: return UInt32(1 << devices.count) - 1
    case Register.version: return Self.version
    case Register.firstPort...:
      let port = Int((offset - Register.firstPort) / Register.portByteCount)
      return state.ports.indices.contains(port)
        ? state.ports[port].read(offset % Register.portByteCount) : 0
    default: return 0
    }
  }

  /// Writes registers, 4 or 8 bytes at a multiple of 4; others are dropped, as the specification
  /// knows no narrower ones.
  func write(offset: UInt64, width: Int, value: UInt64) {
    guard width >= 4, offset % 4 == 0 else { return }
    var ports: [Int] = []
    let mustSignal = state.withLock { state in
      for half in 0..<UInt64(width / 4) {
        let value = UInt32(truncatingIfNeeded: value >> (32 * half))
        if let port = write(offset + 4 * half, value, &state) { ports.append(port) }
      }
      return updateInterrupt(&state)
    }
    if mustSignal { endpoint.signal(0) }
    for port in ports { work.add(port) }
  }

  /// - Returns: a port that may have work.
  private func write(_ offset: UInt64, _ value: UInt32, _ state: inout State) -> Int? {
    switch offset {
    case Register.control:
      state.isInterruptEnabled = value & Self.interruptEnable != 0
      if value & Self.hostReset != 0 { reset(&state) }
    case Register.firstPort...:
      let port = Int((offset - Register.firstPort) / Register.portByteCount)
      guard state.ports.indices.contains(port) else { return nil }
      switch state.ports[port].write(offset % Register.portByteCount, value) {
      case .none: return nil
      case .work:
        sendSignature(of: port, &state)
        return port
      case .reset:
        devices[port].reset()
        sendSignature(of: port, &state)
      }
    default: break
    }
    return nil
  }

  private func reset(_ state: inout State) {
    state.isInterruptEnabled = false
    for port in state.ports.indices {
      state.ports[port].reset()
      devices[port].reset()
    }
    state.isResetting = state.ports.contains { $0.isBusy }
  }

  private func sendSignature(of port: Int, _ state: inout State) {
    guard let memory = endpoint.memory, let fis = state.ports[port].takeSignature() else { return }
    try? memory.write(fis, at: Self.place(state.ports[port].receivedFIS, Self.registerOffset))
  }

  /// An address in the guest's memory; one that wraps is no RAM.
  private static func place(_ start: UInt64, _ offset: UInt64) -> GPA {
    let (sum, overflows) = start.addingReportingOverflow(offset)
    return GPA(overflows ? .max : sum)
  }

  /// Drives the pin.
  ///
  /// - Returns: whether a message is to go out, as there is an interrupt that was not there before.
  private func updateInterrupt(_ state: inout State) -> Bool {
    let was = state.isInterrupting
    state.isInterrupting = state.isInterruptEnabled && state.ports.contains { $0.isInterrupting }
    endpoint.setPin(state.isInterrupting)
    return state.isInterrupting && !was
  }

  /// Follows a write of the command register: commands may have waited for *Bus Master*.
  func configurationChanged() {
    for port in devices.indices { work.add(port) }
  }

  /// Whether commands may read or write guest memory.
  var hasCommandsInFlight: Bool { state.withLock { $0.ports.contains { $0.isBusy } } }

  /// Makes everything as after power-on, and waits for commands in flight; no vCPU runs meanwhile.
  func reset() {
    state.withLock { state in
      reset(&state)
      _ = updateInterrupt(&state)
    }
    while true {
      // Before the look: a command that ends after it changes the count.
      let seen = endCount.load()
      guard hasCommandsInFlight else { break }
      endCount.wait(while: seen)
    }
  }

  // MARK: Commands, on the device's threads

  /// Serves ports until the work list is closed.
  func servePorts() {
    while let port = work.next() { serve(port) }
  }

  /// Serves on the calling thread what waits: an engine without threads does the same at every run,
  /// which fuzzing needs.
  func serveWaitingPorts() {
    while let port = work.nextIfWaiting() { serve(port) }
  }

  private func serve(_ port: Int) {
    while let fetched = fetch(port) {
      var data = fetched.data
      let result = devices[port].run(fetched.command, data: &data)
      finish(fetched, of: port, result, data)
      // The rest waits for the end of a pause.
      if work.isAtRest { return work.add(port) }
    }
  }

  private struct Fetched: Sendable {
    let command: ATACommand
    /// The command's header, which takes the count of bytes.
    let header: GPA
    let data: AHCIData
    /// What the function could reach when it was fetched; a command that has begun ends.
    let memory: GuestMemory
    let generation: UInt64
  }

  /// Takes a port's next command, if one may begin.
  private func fetch(_ port: Int) -> Fetched? {
    var mustSignal = false
    let fetched: Fetched? = state.withLock { state in
      while let memory = endpoint.memory, let slot = state.ports[port].chooseSlot() {
        switch Self.load(slot, of: state.ports[port], memory) {
        case .command(let command, let header, let data):
          state.ports[port].begin()
          return Fetched(
            command: command, header: header, data: data, memory: memory,
            generation: state.ports[port].generation)
        case .control(let isReset):
          guard state.ports[port].control(isReset: isReset) else { continue }
          devices[port].reset()
          sendSignature(of: port, &state)
        case .failed(let interrupts):
          state.ports[port].fail(interrupts)
          _ = updateInterrupt(&state)
          mustSignal = state.isInterruptEnabled && state.ports[port].enables(interrupts)
        }
      }
      return nil
    }
    if mustSignal { endpoint.signal(0) }
    return fetched
  }

  private enum Loaded {
    case command(ATACommand, GPA, AHCIData)
    case control(isReset: Bool)
    case failed(AHCIPort.Interrupts)
  }

  /// Reads a command from memory, which the guest may change meanwhile: all that counts is in what
  /// was read.
  private static func load(_ slot: Int, of port: AHCIPort, _ memory: GuestMemory) -> Loaded {
    let header = place(port.commandList, UInt64(slot * headerByteCount))
    guard let bytes = try? memory.read(at: header, byteCount: headerByteCount) else {
      return .failed(.hostBusFatal)
    }
    let table = bytes.loadLE(at: 8, as: UInt64.self) & ~0x7F
    guard
      let fis = try? memory.read(at: GPA(table), byteCount: packetOffset + packetByteCount)
    else { return .failed(.hostBusFatal) }
    // *Register - Host to Device*.
    guard fis[0] == 0x27 else { return .failed(.interfaceFatal) }
    guard fis[1] & 0x80 != 0 else { return .control(isReset: fis[15] & 4 != 0) }
    guard
      let data = AHCIData(
        table: place(table, tableOffset).rawValue,
        entryCount: Int(bytes.loadLE(at: 2, as: UInt16.self)),
        memory: memory)
    else { return .failed(.hostBusFatal) }
    return .command(ATACommand(fis: fis, packet: Array(fis[packetOffset...])), header, data)
  }

  private func finish(_ fetched: Fetched, of port: Int, _ result: ATAResult, _ data: AHCIData) {
    var isAnswered = false
    let mustSignal = state.withLock { state in
      isAnswered = state.ports[port].end(generation: fetched.generation)
      if state.isResetting { state.isResetting = state.ports.contains { $0.isBusy } }
      guard isAnswered else { return false }
      let interrupts: AHCIPort.Interrupts
      if data.hasFailed {
        interrupts = .hostBusFatal
        state.ports[port].fail(interrupts)
      } else {
        answer(fetched, of: state.ports[port], result, data)
        interrupts = state.ports[port].complete(result, overflows: data.hasOverflowed)
      }
      _ = updateInterrupt(&state)
      // At each event, not only at the first: the guest clears them one by one.
      return state.isInterruptEnabled && state.ports[port].enables(interrupts)
    }
    // A reset may wait for one that is not answered any more.
    if !isAnswered {
      endCount.add(1)
      endCount.wakeAll()
    }
    if mustSignal { endpoint.signal(0) }
  }

  /// Writes what a driver looks at after an interrupt. Lists that are no RAM get nothing.
  private func answer(
    _ fetched: Fetched, of port: AHCIPort, _ result: ATAResult, _ data: AHCIData
  ) {
    let memory = fetched.memory
    if let place = fetched.header.advanced(by: 4) {
      try? memory.store(UInt32(truncatingIfNeeded: data.byteCount), at: place)
    }
    guard port.command.contains(.receivesFIS) else { return }
    if result.kind != .dma {
      try? memory.write(
        result.registers.pioSetup(byteCount: data.byteCount),
        at: Self.place(port.receivedFIS, Self.pioSetupOffset))
    }
    if result.kind != .pio {
      try? memory.write(
        result.registers.fis(interrupts: true),
        at: Self.place(port.receivedFIS, Self.registerOffset))
    }
  }
}

extension AHCIEngine {
  /// Returns when what was written to the devices is safe. During a pause.
  func flush() throws(StateError) {
    do throws(BlockStoreError) {
      for device in devices { try device.flush() }
    } catch {
      throw StateError(flushing: error)
    }
  }

  /// Saves or restores it, while no command runs.
  func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try state.withLock { state throws(StateError) in
      try transfer.flag(&state.isInterruptEnabled)
      try transfer.elements(&state.ports) { (transfer, port) throws(StateError) in
        try port.transfer(&transfer)
      }
      for device in devices { try device.transferState(&transfer) }
      // The message, if there is one to be sent, was sent.
      if transfer.isRestoring { _ = updateInterrupt(&state) }
    }
  }

  /// Has the ports served in which there may be commands already: those of a restored adapter.
  func serveRestoredPorts() {
    for port in devices.indices { work.add(port) }
  }
}
