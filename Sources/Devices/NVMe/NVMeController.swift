public import DeviceKit
public import GuestMemory
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
  private static let vectorTable: UInt64 = 0x2000
  private static let pendingBits: UInt64 = 0x3000
  /// As many as the table has vectors, but for the admin pair's.
  private static let maximumPairCount = 255

  /// Its configuration registers.
  public let configuration: PCIConfiguration
  private let interrupts: MSIXTable
  private let capability: Int
  private let pin: INTxPin
  let engine: NVMeEngine
  private let threads: Guarded<[HostThread]>

  /// A disk that is ready for a driver, its threads started.
  ///
  /// - Parameters:
  ///   - history: what its log pages tell, which goes on from there.
  ///   - queuePairCount: I/O queue pairs a guest gets, usually one for each vCPU; 1 to 255, cut to
  ///     that.
  ///   - threadCount: commands that run at a time, at least 1.
  ///   - interruptLine: the INTx line, for drivers without MSI-X.
  ///   - onThreadStart: what each of the threads does before anything else.
  /// - Throws: `NVMeError.threads` when the host gives no more threads.
  public init(
    store: any BlockStore, memory: GuestMemory, identity: NVMeIdentity, history: NVMeHistory,
    queuePairCount: Int, threadCount: Int = 4, messages: any MSISink,
    interruptLine: (any InterruptLine)? = nil,
    onThreadStart: @escaping @Sendable () -> Void = {}
  ) throws(NVMeError) {
    let pairCount = min(max(queuePairCount, 1), Self.maximumPairCount)
    var space = PCIConfigurationSpace(
      identity: PCIIdentity(
        vendor: NVMeIdentity.vendor, device: NVMeIdentity.device, classCode: 0x01_0802,
        subsystemVendor: NVMeIdentity.vendor, subsystem: NVMeIdentity.device),
      interruptPin: 1)
    space.addBAR(Self.bar)
    interrupts = MSIXTable(count: pairCount + 1, sink: messages)
    capability = interrupts.addCapability(
      to: &space, bar: Self.bar, tableOffset: UInt32(Self.vectorTable),
      pendingOffset: UInt32(Self.pendingBits))
    space.addPowerManagement()
    space.addExpressEndpoint()
    configuration = PCIConfiguration(space)
    pin = INTxPin(configuration: configuration, line: interruptLine)
    let engine = NVMeEngine(
      memory: memory, configuration: configuration, interrupts: interrupts, pin: pin, store: store,
      identify: NVMeIdentify(identity: identity, store: store), history: history,
      pairCount: pairCount)
    self.engine = engine
    var threads: [HostThread] = []
    let wanted = max(threadCount, 1)
    let serve: @Sendable () -> Void = {
      onThreadStart()
      engine.serveQueues()
    }
    while threads.count < wanted, let thread = try? HostThread(serve) { threads.append(thread) }
    self.threads = Guarded(threads)
    if threads.count < wanted {
      stop()
      throw .threads(count: wanted)
    }
  }

  deinit {
    stop()
  }

  /// Ends the threads when the commands they run are done; doorbells are then of no effect. Guest
  /// memory is left alone from then on. May be called again. Not on a thread of the controller.
  public func stop() {
    engine.work.close()
    let threads = threads.withLock { threads in
      defer { threads = [] }
      return threads
    }
    for thread in threads { thread.join() }
  }

  /// What its queues hold; nil if its lock is not free within a moment. Any thread.
  public var activity: NVMeActivity? { engine.activity }

  /// Reads registers, vectors or pending bits.
  public func readBAR(_ index: Int, offset: UInt64, width: Int) -> UInt64 {
    switch offset {
    case ..<Self.vectorTable: engine.read(offset: offset, width: width)
    case ..<Self.pendingBits:
      interrupts.readTable(offset: offset - Self.vectorTable, width: width)
    default: interrupts.readPending(offset: offset - Self.pendingBits, width: width)
    }
  }

  /// Writes registers, rings doorbells, sets vectors.
  public func writeBAR(_ index: Int, offset: UInt64, width: Int, value: UInt64) {
    switch offset {
    case ..<Self.vectorTable: engine.write(offset: offset, width: width, value: value)
    case ..<Self.pendingBits:
      interrupts.writeTable(offset: offset - Self.vectorTable, width: width, value: value)
    default: break
    }
  }

  /// Follows *Bus Master*, *Interrupt Disable* and MSI-X's control.
  public func configurationChanged() {
    interrupts.configurationChanged(configuration, capability: capability)
    pin.configurationChanged()
    engine.configurationChanged()
  }

  public var hasTransactionsPending: Bool { engine.hasCommandsInFlight }

  /// Everything as after power-on; what commands in flight write stays written.
  public func functionLevelReset() {
    // No message leaves from here on, and the pin falls with the engine.
    interrupts.reset()
    engine.functionLevelReset()
    pin.configurationChanged()
  }

  /// Everything as after power-on; waits for commands in flight. What they wrote stays written.
  public func reset() {
    engine.reset()
    configuration.reset()
    interrupts.reset()
  }
}

/// Why a controller cannot be made.
public enum NVMeError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The host gives no more threads.
  case threads(count: Int)

  /// What was attempted, and what to do; one line.
  public var description: String {
    switch self {
    case .threads(let count):
      "cannot start \(count) disk threads; raise the limit of processes (ulimit -u)"
    }
  }
}
