public import DeviceKit
internal import HostSystem

/// A network card as operating systems have a driver for: Intel's 82574L.
///
/// MSI-X with 5 vectors, MSI or the INTx pin; legacy, extended and split receive descriptors; TCP
/// and UDP checksums and the cutting of TCP both by the card; VLAN tags, filters, frames of up to
/// 16 KiB. Interrupts come with batches of frames and are not held back further (*ITR*, *EITR*,
/// *RDTR*); one receive queue; no wake-up, no time stamps of frames, no flash.
public final class E1000EController: PCIFunction {
  /// With 32 address bits, as the NVMe disk's.
  private static let registers = PCIBAR(index: 0, byteCount: E1000ECore.registerByteCount)
  /// *IOADDR* and *IODATA*: registers by port.
  private static let ports = PCIBAR(index: 2, portCount: 32)
  private static let vectors = PCIBAR(index: 3, byteCount: 0x4000)

  /// Its end of the bus.
  public let endpoint: PCIEndpoint
  let engine: E1000EEngine
  private let turn: BackendTurn
  private let transmitThread: DeviceThreads
  private let receiveThread: DeviceThreads
  private let portAddress = Guarded<UInt32>(0)

  /// A card that is ready for a driver once it is started.
  ///
  /// - Parameters:
  ///   - address: its own, 6 bytes in the order they go over the wire, no multicast one.
  ///   - backend: the far end of its cable, this card's alone until `stop`.
  ///   - context: the machine around it.
  public init(address: [UInt8], backend: any NetworkBackend, context: PCIContext) {
    var space = PCIConfigurationSpace(
      identity: PCIIdentity(
        vendor: 0x8086, device: 0x10D3, classCode: 0x02_0000, subsystemVendor: 0x8086,
        subsystem: 0),
      interruptPin: 1)
    space.addBAR(Self.registers)
    space.addBAR(Self.ports)
    space.addBAR(Self.vectors)
    space.addPowerManagement()
    space.addMSI(vectorCount: 1)
    space.addExpressEndpoint()
    space.addMSIX(
      vectorCount: E1000ECore.vectorCount, bar: Self.vectors, tableOffset: 0,
      pendingOffset: 0x2000)
    endpoint = PCIEndpoint(space, context: context)
    turn = BackendTurn(onBegin: { backend.start() }, onEnd: { backend.stop() })
    engine = E1000EEngine(endpoint: endpoint, address: address, backend: backend)
    transmitThread = DeviceThreads(engine.transmitWork, onStart: context.onThreadStart)
    receiveThread = DeviceThreads(engine.receiveWork, onStart: context.onThreadStart)
  }

  deinit {
    stop()
  }

  /// Starts the two threads.
  ///
  /// - Throws: `DeviceError` when the host gives no more threads; `stop` ends the one there may be.
  public func start() throws(DeviceError) {
    turn.begin()
    // A restored card may have something to send, and another far end.
    engine.transmitWork.add(0)
    engine.release()
    try transmitThread.start(count: 1, kind: "network") { [engine] in engine.serveTransmit() }
    try receiveThread.start(count: 1, kind: "network") { [engine] in engine.serveReceive() }
  }

  /// Ends the threads. Guest memory is left alone from then on. May be called again. Not on one of
  /// them.
  public func stop() {
    turn.end()
    transmitThread.stop()
    receiveThread.stop()
  }

  /// Waits until nothing is sent; what comes in waits at the far end.
  public func pause() throws(StateError) {
    engine.hold()
    try transmitThread.pause()
  }

  /// Goes on with what there is to send, and what has come in.
  public func resume() {
    engine.release()
    transmitThread.resume()
  }

  /// Saves or restores registers and queues. The link is the far end's from the start on.
  public func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try endpoint.transferState(&transfer)
    try portAddress.withLock { address throws(StateError) in try transfer.integer(&address) }
    try engine.transferState(&transfer)
  }

  /// Reads registers.
  public func readBAR(_ index: Int, offset: UInt64, width: Int) -> UInt64 {
    switch index {
    case 0: engine.read(offset: offset, width: width)
    case 2 where width == 4 && offset == 0: UInt64(portAddress.withLock { $0 })
    case 2 where width == 4 && offset == 4: readPort()
    default: 0
    }
  }

  /// Writes registers, which may begin work.
  public func writeBAR(_ index: Int, offset: UInt64, width: Int, value: UInt64) {
    switch index {
    case 0: engine.write(offset: offset, width: width, value: value)
    case 2 where width == 4 && offset == 0:
      portAddress.withLock { $0 = UInt32(truncatingIfNeeded: value) }
    case 2 where width == 4 && offset == 4:
      if let place = portRegister { engine.write(offset: place, width: 4, value: value) }
    default: break
    }
  }

  private var portRegister: UInt64? {
    let address = UInt64(portAddress.withLock { $0 }) & ~3
    return address < E1000ECore.registerByteCount ? address : nil
  }

  private func readPort() -> UInt64 {
    portRegister.map { engine.read(offset: $0, width: 4) } ?? 0
  }

  /// Follows *Bus Master* and the control of messages.
  public func configurationChanged() {
    engine.configurationChanged()
  }

  /// Everything as after power-on.
  public func functionLevelReset() {
    engine.reset()
    configuration.endFunctionReset()
  }

  /// Everything as after power-on.
  public func reset() {
    engine.reset()
    endpoint.reset()
  }
}
