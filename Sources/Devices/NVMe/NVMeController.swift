public import DeviceKit
internal import GuestMemory
internal import HostSystem

/// An NVMe disk with one namespace: a PCI function of class 010802 over a `BlockStore`.
///
/// NVMe 1.3 with what inbox drivers use: PRPs, sectors of 512 or 4096 bytes, an admin pair and some
/// I/O queue pairs, MSI-X with a vector for each pair (or the INTx pin). Doorbells return at once;
/// commands run on threads of the controller's own, several at a time, and may complete out of
/// order.
public final class NVMeController: PCIFunction {
  /// The only BAR: registers and doorbells, then MSI-X. With 32 address bits, so that firmware
  /// places it in the window that the ACPI tables tell: one of 64 bits it would place at the end of
  /// what the processor can address, wherever that is.
  private static let bar = PCIBAR(index: 0, byteCount: 0x4000)
  private static let vectorTable: UInt32 = 0x2000
  private static let pendingBits: UInt32 = 0x3000
  /// As many as the table has vectors, except the admin pair's.
  private static let maximumPairCount = 255

  /// Its end of the bus.
  public let endpoint: PCIEndpoint
  let engine: NVMeEngine
  private let threadCount: Int
  private let threads: DeviceThreads

  /// A disk that is ready for a driver once it is started.
  ///
  /// - Parameters:
  ///   - history: what its log pages tell, which goes on from there.
  ///   - queuePairCount: I/O queue pairs a guest gets, usually one for each vCPU; 1 to 255, cut to
  ///     that.
  ///   - threadCount: commands that run at a time, at least 1.
  ///   - context: the machine around it.
  public init(
    store: any BlockStore, identity: NVMeIdentity, history: NVMeHistory, queuePairCount: Int,
    threadCount: Int = 4, context: PCIContext
  ) {
    let pairCount = min(max(queuePairCount, 1), Self.maximumPairCount)
    var space = PCIConfigurationSpace(
      identity: PCIIdentity(
        vendor: NVMeIdentity.vendor, device: NVMeIdentity.device, classCode: 0x01_0802,
        subsystemVendor: NVMeIdentity.vendor, subsystem: NVMeIdentity.device),
      interruptPin: 1)
    space.addBAR(Self.bar)
    space.addMSIX(
      vectorCount: pairCount + 1, bar: Self.bar, tableOffset: Self.vectorTable,
      pendingOffset: Self.pendingBits)
    space.addPowerManagement()
    space.addExpressEndpoint()
    endpoint = PCIEndpoint(space, context: context)
    engine = NVMeEngine(
      endpoint: endpoint, store: store, identify: NVMeIdentify(identity: identity, store: store),
      history: history, pairCount: pairCount)
    self.threadCount = max(threadCount, 1)
    threads = DeviceThreads(engine.work, onStart: context.onThreadStart)
  }

  deinit {
    stop()
  }

  /// Starts the threads that carry out commands.
  ///
  /// - Throws: `DeviceError` when the host gives no more threads; none is left then.
  public func start() throws(DeviceError) {
    engine.serveRestoredQueues()
    try threads.start(count: threadCount, kind: "disk") { [engine] in engine.serveQueues() }
  }

  /// Ends the threads when the commands they run are done; doorbells are then of no effect. Guest
  /// memory is left alone from then on. May be called again. Not on a thread of the controller.
  public func stop() {
    threads.stop()
  }

  /// Waits for the commands that there are, and has the back-end keep what they wrote: a machine
  /// that goes no further leaves its disks as they are saved. What is not begun after 10 seconds
  /// waits for `resume`.
  ///
  /// - Throws: `StateError.busy`, also if the back-end cannot keep it.
  public func pause() throws(StateError) {
    try threads.pause(finishesWork: true)
    do throws(BlockStoreError) {
      try engine.io.store.flush()
    } catch {
      throw StateError(flushing: error)
    }
  }

  /// Goes on with the commands that wait.
  public func resume() {
    threads.resume()
  }

  /// Saves or restores registers, queues and features, and the disk's history.
  public func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try endpoint.transferState(&transfer)
    try engine.transferState(&transfer)
  }

  /// What its queues hold; nil if its lock is not free within a moment. Any thread.
  public var activity: NVMeActivity? { engine.activity }

  /// Reads registers.
  public func readBAR(_ index: Int, offset: UInt64, width: Int) -> UInt64 {
    offset < UInt64(Self.vectorTable) ? engine.read(offset: offset, width: width) : 0
  }

  /// Writes registers, rings doorbells.
  public func writeBAR(_ index: Int, offset: UInt64, width: Int, value: UInt64) {
    guard offset < UInt64(Self.vectorTable) else { return }
    engine.write(offset: offset, width: width, value: value)
  }

  /// Follows *Bus Master* and MSI-X's control.
  public func configurationChanged() {
    engine.configurationChanged()
  }

  /// Whether commands are in flight.
  public var hasTransactionsPending: Bool { engine.hasCommandsInFlight }

  /// Everything as after power-on; what commands in flight write stays written.
  public func functionLevelReset() {
    engine.functionLevelReset()
  }

  /// Everything as after power-on; waits for commands in flight. What they wrote stays written.
  public func reset() {
    engine.reset()
    endpoint.reset()
  }
}
