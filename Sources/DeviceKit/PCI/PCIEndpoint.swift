public import GuestMemory

/// A function's end of the bus: its configuration registers and what follows from them alone. It
/// keeps the rules of PCI, so that no device model has to.
///
/// - Memory is there while the guest lets the function be bus master.
/// - Interrupts go out as MSI-X, MSI or by the INTx pin, whichever the guest turned on.
/// - The table of MSI-X and memory behind BARs are accessed without the model.
///
/// Any thread. A model calls it with its own lock held; nothing here calls back.
public final class PCIEndpoint: Sendable {
  /// The configuration registers.
  public let configuration: PCIConfiguration
  let mappedBARs: [MappedBAR]
  private let ram: GuestMemory?
  private let sink: (any MSISink)?
  private let vectors: MSIXTable?
  private let hasMSI: Bool
  private let pin: INTxPin

  /// - Parameters:
  ///   - space: registers as after power-on, with BARs and capabilities.
  ///   - context: what the machine has; nothing for a function that neither reaches memory nor
  ///     interrupts, as a bridge.
  public init(_ space: PCIConfigurationSpace, context: PCIContext = PCIContext()) {
    configuration = PCIConfiguration(space)
    ram = context.memory
    sink = context.messages
    vectors = space.msix.map { MSIXTable($0, sink: context.messages) }
    hasMSI = space.msi != nil
    pin = INTxPin(configuration: configuration, line: context.interruptLine)
    mappedBARs = space.memories.map {
      MappedBAR($0.bar, memory: $0.memory, logsWrites: $0.logsWrites, mapper: context.mapper)
    }
  }

  // MARK: For the model

  /// The guest's RAM; nil while the function may not reach it: *Bus Master* is off, or it sleeps. A
  /// command that has begun keeps what it got.
  public var memory: GuestMemory? { configuration.isBusMaster ? ram : nil }

  /// Interrupts by message, if the guest turned MSI-X or MSI on; otherwise nothing happens. Vectors
  /// from 0; those that there are not are dropped.
  public func signal(_ vector: Int) {
    if let vectors, vectors.isEnabled {
      vectors.signal(vector)
    } else if hasMSI {
      // Sent with the lock held: after a guest has masked it, none is still on its way.
      configuration.update { space in
        if let message = space.takeMSI(vector) { sink?.send(message) }
      }
    }
  }

  /// Asks for attention by the INTx pin, until taken back. Held back while messages are on.
  public func setPin(_ wantsAttention: Bool) {
    pin.set(wantsAttention)
  }

  /// Whether the guest turned MSI-X on.
  public var usesMSIX: Bool { vectors?.isEnabled ?? false }

  /// Vectors of MSI-X; 0 without it.
  public var vectorCount: Int { vectors?.count ?? 0 }

  /// The pages of 4 KiB of a BAR with memory that the guest wrote since the last call, and perhaps
  /// some that the model wrote and the guest read: bit 0 of word 0 is the first page. All while
  /// there is no log; empty for other BARs.
  public func takeWrittenPages(ofBAR index: Int) -> [UInt64] {
    mapped(index)?.takeWrittenPages() ?? []
  }

  /// Starts or ends the log that `takeWrittenPages` reads: it costs the guest an exit for each page
  /// that it writes. After the start all pages count as written. While vCPUs run.
  public func setLogsWrites(_ logsWrites: Bool, ofBAR index: Int) {
    mapped(index)?.setLogsWrites(logsWrites)
  }

  /// Everything as after power-on. No vCPU runs meanwhile.
  public func reset() {
    configuration.reset()
    vectors?.reset()
    pin.set(false)
  }

  // MARK: For the bus

  /// Follows a write of the configuration registers, before the model does.
  func configurationChanged() {
    vectors?.follow(configuration)
    if hasMSI {
      configuration.update { space in
        for message in space.takePendingMSIs() { sink?.send(message) }
      }
    }
    pin.configurationChanged()
  }

  /// The function is being reset: no message leaves, and the pin falls.
  func functionResetBegan() {
    vectors?.reset()
    pin.set(false)
  }

  /// What a read of a BAR finds that is not the model's; nil if it is.
  package func readBAR(_ index: Int, offset: UInt64, width: Int) -> UInt64? {
    vectors?.read(bar: index, offset: offset, width: width)
      ?? mapped(index)?.read(offset: offset, width: width)
  }

  /// Takes a write of a BAR; false if it is the model's.
  package func writeBAR(_ index: Int, offset: UInt64, width: Int, value: UInt64) -> Bool {
    if vectors?.write(bar: index, offset: offset, width: width, value: value) == true {
      return true
    }
    guard let mapped = mapped(index) else { return false }
    mapped.write(offset: offset, width: width, value: value)
    return true
  }

  private func mapped(_ index: Int) -> MappedBAR? {
    mappedBARs.first { $0.bar.index == index }
  }
}

/// What a PCI function gets from the machine around it. `PCIEndpoint` makes of it what the guest's
/// configuration allows: nothing here is used directly by a device model.
public struct PCIContext: Sendable {
  /// RAM, for a function that the guest made bus master.
  public var memory: GuestMemory?
  /// Where messages go.
  public var messages: (any MSISink)?
  /// The INTx line of the function's pin.
  public var interruptLine: (any InterruptLine)?
  /// Maps BARs that have memory.
  public var mapper: (any MemoryMapper)?
  /// What each thread of the function does before anything else, as entering its sandbox.
  public var onThreadStart: @Sendable () -> Void

  /// A context; what is left out a function has to do without.
  public init(
    memory: GuestMemory? = nil, messages: (any MSISink)? = nil,
    interruptLine: (any InterruptLine)? = nil, mapper: (any MemoryMapper)? = nil,
    onThreadStart: @escaping @Sendable () -> Void = {}
  ) {
    self.memory = memory
    self.messages = messages
    self.interruptLine = interruptLine
    self.mapper = mapper
    self.onThreadStart = onThreadStart
  }
}

extension PCIEndpoint {
  /// Saves or restores the configuration registers, and what follows from them.
  public func transferState(_ transfer: inout StateTransfer) throws(StateError) {}
}
