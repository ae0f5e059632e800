public import DeviceKit
internal import GuestMemory
internal import HostSystem

/// A host bus adapter for SATA, as the ICH9 has it (8086:2922), with a device on each of its ports.
///
/// AHCI 1.3.1: command lists of 32, PIO and DMA, MSI or the INTx pin. Native command queuing, port
/// multipliers and hot plug are left out. Register accesses return at once; commands
/// run on a thread for each port, one at a time.
public final class AHCIController: PCIFunction {
  /// What a port has.
  public enum Port: Sendable {
    case opticalDrive(OpticalDrive)
    /// A disk with a serial number of 1 to 20 characters of ASCII.
    case disk(any BlockStore, serial: String)
  }

  /// As many as the ICH9 has.
  public static let portCounts = 1...6
  private static let bar = PCIBAR(index: 5, byteCount: 0x1000)
  /// *MAP*: AHCI; *PCS*: ports enabled, as firmware and Linux's driver set them.
  private static let map = 0x90
  private static let portControl = 0x92

  /// Its end of the bus.
  public let endpoint: PCIEndpoint
  let engine: AHCIEngine
  private let threadCount: Int
  private let threads: DeviceThreads

  /// An adapter that is ready for a driver once it is started.
  ///
  /// - Parameters:
  ///   - ports: what is on them, as many as `portCounts` allows.
  ///   - context: the machine around it.
  public init(ports: [Port], context: PCIContext) {
    precondition(Self.portCounts.contains(ports.count), "\(ports.count) SATA ports")
    var space = PCIConfigurationSpace(
      identity: PCIIdentity(vendor: 0x8086, device: 0x2922, revision: 2, classCode: 0x01_0601),
      interruptPin: 1)
    space.addBAR(Self.bar)
    space.addMSI(vectorCount: 1)
    space.addPowerManagement()
    space.preset(UInt16(0x40), at: Self.map)
    space.makeWritable(UInt16(0x3F), at: Self.portControl)
    endpoint = PCIEndpoint(space, context: context)
    engine = AHCIEngine(
      endpoint: endpoint,
      devices: ports.map { port in
        switch port {
        case .opticalDrive(let drive): ATAPIDevice(drive)
        case .disk(let store, let serial): ATADisk(store, serial: serial)
        }
      })
    threadCount = ports.count
    threads = DeviceThreads(engine.work, onStart: context.onThreadStart)
  }

  deinit {
    stop()
  }

  /// Starts the threads that carry out commands.
  ///
  /// - Throws: `DeviceError` when the host gives no more threads; none is left then.
  public func start() throws(DeviceError) {
    engine.serveRestoredPorts()
    try threads.start(count: threadCount, kind: "SATA") { [engine] in engine.servePorts() }
  }

  /// Ends the threads when the commands they run are done. Guest memory is left alone from then on.
  /// May be called again. Not on a thread of the adapter.
  public func stop() {
    threads.stop()
  }

  /// Waits for the commands that there are, and has the disks keep what they wrote: a machine that
  /// goes no further leaves its disks as they are saved. What is not begun after 10 seconds waits
  /// for `resume`.
  ///
  /// - Throws: `StateError.busy`, also if a disk cannot keep it.
  public func pause() throws(StateError) {
    try threads.pause(finishesWork: true)
    try engine.flush()
  }

  /// Goes on with the commands that wait.
  public func resume() {
    threads.resume()
  }

  /// Saves or restores registers, and of optical drives all but which medium is in them.
  public func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try endpoint.transferState(&transfer)
    try engine.transferState(&transfer)
  }

  /// Reads registers.
  public func readBAR(_ index: Int, offset: UInt64, width: Int) -> UInt64 {
    engine.read(offset: offset, width: width)
  }

  /// Writes registers, which may begin commands.
  public func writeBAR(_ index: Int, offset: UInt64, width: Int, value: UInt64) {
    engine.write(offset: offset, width: width, value: value)
  }

  /// Follows *Bus Master*.
  public func configurationChanged() {
    engine.configurationChanged()
  }

  /// Whether commands are in flight.
  public var hasTransactionsPending: Bool { engine.hasCommandsInFlight }

  /// Everything as after power-on; waits for commands in flight. What they wrote stays written.
  public func reset() {
    engine.reset()
    endpoint.reset()
  }
}
