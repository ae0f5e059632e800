internal import Bytes
public import GuestMemory

/// The 4 KiB of configuration registers of a function with a header of type 0: a value without a
/// lock.
///
/// Every bit is read-only, writable, or cleared by writing 1. The device model reads and presets
/// everything; the guest goes through `read` and `write`.
public struct PCIConfigurationSpace: Sendable {
  /// Conventional registers and those of PCI Express.
  public static let byteCount = 4096

  private var bytes = [UInt8](repeating: 0, count: byteCount)
  private var writable = [UInt8](repeating: 0, count: byteCount)
  private var clearable = [UInt8](repeating: 0, count: byteCount)
  private var nextCapability = PCIRegister.endOfHeader
  private var lastCapability: Int?
  /// Where *PMCSR* is, if there is one.
  var powerControl: Int?
  /// Where the PCI Express capability begins, if there is one.
  var express: Int?
  /// Where the vectors of MSI-X are, if there are any.
  var msix: MSIXLayout?
  /// Where the MSI capability is, if there is one.
  var msi: MSILayout?
  /// The BARs, in the order they were added.
  public private(set) var bars: [PCIBAR] = []
  /// The BARs with memory.
  private(set) var memories: [(bar: PCIBAR, memory: DeviceMemory, logsWrites: Bool)] = []

  /// A header with nothing enabled.
  ///
  /// - Parameter interruptPin: 0 for none, 1 to 4 for INTA# to INTD#.
  public init(identity: PCIIdentity, interruptPin: UInt8 = 0) {
    preset(identity.vendor, at: PCIRegister.vendor)
    preset(identity.device, at: PCIRegister.device)
    preset(UInt32(identity.revision) | identity.classCode << 8, at: PCIRegister.revision)
    preset(identity.subsystemVendor, at: PCIRegister.subsystemVendor)
    preset(identity.subsystem, at: PCIRegister.subsystem)
    preset(interruptPin, at: PCIRegister.interruptPin)
    makeWritable(PCICommand.writable.rawValue, at: PCIRegister.command)
    makeClearable(PCIStatus.clearable.rawValue, at: PCIRegister.status)
    makeWritable(UInt8.max, at: PCIRegister.cacheLine)
    makeWritable(UInt8.max, at: PCIRegister.interruptLine)
  }

  // MARK: The device model's side

  /// Sets a little-endian register, whatever the guest may write there.
  public mutating func preset<T: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
    _ value: T, at offset: Int
  ) {
    bytes.storeLE(value, at: offset)
  }

  /// Lets the guest write the bits of `mask`, and only those.
  public mutating func makeWritable<T: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
    _ mask: T, at offset: Int
  ) {
    writable.storeLE(mask, at: offset)
  }

  /// Lets the guest clear the bits of `mask` by writing 1 to them.
  public mutating func makeClearable<T: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
    _ mask: T, at offset: Int
  ) {
    clearable.storeLE(mask, at: offset)
  }

  /// The little-endian register at `offset`.
  public func value<T: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
    at offset: Int, as type: T.Type = T.self
  ) -> T {
    bytes.loadLE(at: offset)
  }

  /// Adds a BAR with memory behind it, all of `memory`, which the guest reaches without exits
  /// wherever it places the BAR apart from others.
  ///
  /// - Parameter logsWrites: whether `PCIEndpoint.takeWrittenPages` is wanted.
  public mutating func addBAR(_ bar: PCIBAR, memory: DeviceMemory, logsWrites: Bool = false) {
    precondition(
      !bar.isIO && UInt64(memory.byteCount) == bar.byteCount,
      "BAR \(bar.index) of \(bar.byteCount) bytes with memory of \(memory.byteCount)")
    addBAR(bar)
    memories.append((bar, memory, logsWrites))
  }

  /// Adds a BAR that the device model answers; its registers must be free.
  public mutating func addBAR(_ bar: PCIBAR) {
    let registers = bar.index..<(bar.index + bar.registerCount)
    precondition(
      !bars.contains { registers.overlaps($0.index..<($0.index + $0.registerCount)) },
      "BAR \(bar.index) twice")
    bars.append(bar)
    preset(bar.typeBits, at: bar.offset)
    makeWritable(UInt32(truncatingIfNeeded: bar.writableMask), at: bar.offset)
    if bar.is64Bit { makeWritable(UInt32(bar.writableMask >> 32), at: bar.offset + 4) }
  }

  /// Adds a capability behind those that are there (PCI 3.0 §6.7), read-only.
  ///
  /// - Parameter body: what follows the identifier and the link, at least the first 2 bytes.
  /// - Returns: the offset of its identifier; the body is 2 bytes further.
  public mutating func addCapability(_ identifier: UInt8, body: [UInt8]) -> Int {
    let offset = nextCapability
    let end = (offset + 2 + body.count + 3) & ~3
    precondition(end <= PCIRegister.extended, "capability \(identifier) does not fit")
    preset(identifier, at: offset)
    for (index, byte) in body.enumerated() { preset(byte, at: offset + 2 + index) }
    preset(UInt8(offset), at: lastCapability.map { $0 + 1 } ?? PCIRegister.capabilities)
    let status: UInt16 = value(at: PCIRegister.status)
    preset(status | PCIStatus.capabilities.rawValue, at: PCIRegister.status)
    lastCapability = offset
    nextCapability = end
    return offset
  }

  /// Where a BAR is now, decoded or not.
  public func address(of bar: PCIBAR) -> UInt64 {
    let low: UInt32 = value(at: bar.offset)
    let high: UInt32 = bar.is64Bit ? value(at: bar.offset + 4) : 0
    return (UInt64(high) << 32 | UInt64(low)) & bar.writableMask
  }

  /// The command register.
  public var command: PCICommand {
    PCICommand(rawValue: value(at: PCIRegister.command))
  }

  /// Whether the function may reach memory.
  public var isBusMaster: Bool {
    command.contains(.busMaster) && isAwake
  }

  /// The BARs that accesses can reach: none of memory while *Memory Space* is off, of ports while
  /// *I/O Space* is, and none in D3hot.
  var decodedBARs: [PlacedBAR] {
    guard isAwake else { return [] }
    let command = command
    return bars.filter { command.contains($0.isIO ? .ioSpace : .memorySpace) }.map {
      PlacedBAR(
        index: $0.index, isIO: $0.isIO, start: address(of: $0), byteCount: $0.byteCount)
    }
  }

  /// Whether interrupts leave as messages, and not by the pin.
  var usesMessages: Bool { usesMSI || usesMSIX }

  // MARK: The guest's side

  /// What the guest reads: `width` bytes from `offset` on, ones past the end. Any values are
  /// accepted.
  public func read(offset: Int, width: Int) -> UInt64 {
    var value: UInt64 = 0
    for index in 0..<min(width, 8) {
      let byte = bytes.indices.contains(offset &+ index) ? bytes[offset &+ index] : .max
      value |= UInt64(byte) << (8 * index)
    }
    return value
  }

  /// Takes the guest's write of `width` bytes; those past the end are dropped. Any values are
  /// accepted.
  public mutating func write(offset: Int, width: Int, value: UInt64) {
    let powerState = powerControlValue
    for index in 0..<min(width, 8) where bytes.indices.contains(offset &+ index) {
      let byte = UInt8(truncatingIfNeeded: value >> (8 * index))
      let place = offset &+ index
      bytes[place] = bytes[place] & ~writable[place] | byte & writable[place]
      bytes[place] &= ~(byte & clearable[place])
    }
    settlePowerState(before: powerState)
  }
}

extension PCIConfigurationSpace {
  /// The values of all registers; what can be written is the function's kind.
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    // Vendor and device.
    let identity: UInt32 = value(at: PCIRegister.vendor)
    try transfer.bytes(&bytes)
    try transfer.check(value(at: PCIRegister.vendor) == identity, "it is of another device")
    for bar in bars {
      let low: UInt32 = value(at: bar.offset)
      let mask = UInt32(truncatingIfNeeded: bar.writableMask)
      try transfer.check(low & ~mask == bar.typeBits, "BAR \(bar.index) is another one's")
    }
  }
}
