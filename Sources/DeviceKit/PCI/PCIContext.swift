public import GuestMemory

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
