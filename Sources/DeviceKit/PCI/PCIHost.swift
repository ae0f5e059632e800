internal import HostSystem

/// Bus 0: its functions by place, their configuration registers, and where their BARs are decoded.
///
/// Overlapping BARs are allowed: guests move BARs one by one and let them overlap meanwhile.
/// Of BARs that overlap, the one placed last answers; when it moves on, the other is there again.
public final class PCIHost: Sendable {
  private struct Decoded {
    let address: PCIAddress
    let function: any PCIFunction
    let bar: PlacedBAR

    /// Whose it is, in one number.
    var place: UInt32 {
      UInt32(address.device) << 16 | UInt32(address.function) << 8 | UInt32(bar.index)
    }
  }

  private let functions: [PCIAddress: any PCIFunction]
  /// In the order in which they were placed. The lock also keeps configuration writes in one order.
  private let decoded = Guarded<[Decoded]>([])
  private let mappedBARs: [(address: PCIAddress, mapped: MappedBAR)]

  /// A bus with these functions.
  ///
  /// The VMM chooses places: one taken twice, or a device without function 0, which no guest would
  /// find, is a mistake of ours and traps.
  public init(_ functions: [(PCIAddress, any PCIFunction)]) {
    self.functions = Dictionary(functions) { _, _ in preconditionFailure("PCI place taken twice") }
    mappedBARs = functions.flatMap { address, function in
      function.endpoint.mappedBARs.map { (address, $0) }
    }
    for address in self.functions.keys where address.function > 0 {
      guard let first = self.functions[PCIAddress(device: address.device)] else {
        preconditionFailure("PCI function \(address) without function 0")
      }
      first.configuration.markMultiFunction()
    }
  }

  /// The taken places, ascending.
  public var addresses: [PCIAddress] { functions.keys.sorted() }

  /// The function at a place.
  public func function(at address: PCIAddress) -> (any PCIFunction)? { functions[address] }

  /// What the guest reads of a configuration register; all ones where no function is.
  public func readConfiguration(_ address: PCIAddress, offset: Int, width: Int) -> UInt64 {
    guard let function = functions[address] else { return .max }
    function.configuration.prepareRead(offset: offset, width: width) {
      function.hasTransactionsPending
    }
    function.configurationWillBeRead(offset: offset, width: width)
    return function.configuration.read(offset: offset, width: width)
  }

  /// Takes the guest's write of a configuration register; dropped where no function is.
  public func writeConfiguration(
    _ address: PCIAddress, offset: Int, width: Int, value: UInt64
  ) {
    guard let function = functions[address] else { return }
    let isReset = decoded.withLock { decoded in
      function.configuration.write(offset: offset, width: width, value: value)
      let isReset = function.configuration.beginFunctionReset()
      Self.refresh(&decoded, address, function)
      return isReset
    }
    if isReset {
      function.endpoint.functionResetBegan()
      function.functionLevelReset()
    } else {
      function.endpoint.configurationChanged()
      function.configurationChanged()
      function.configurationWritten(offset: offset, width: width)
    }
    if !mappedBARs.isEmpty { decoded.withLock { placeMappedBARs($0) } }
  }

  /// Starts all functions.
  ///
  /// - Throws: what the first of them throws that cannot start.
  package func start() throws(DeviceError) {
    for address in addresses { try functions[address]?.start() }
  }

  /// Stops all functions.
  package func stop() {
    for address in addresses { functions[address]?.stop() }
  }

  /// Everything as after power-on; BARs have no place then. No vCPU runs meanwhile.
  public func reset() {
    for function in functions.values { function.reset() }
    for address in functions.keys where address.function > 0 {
      functions[PCIAddress(device: address.device)]?.configuration.markMultiFunction()
    }
    decoded.withLock { decoded in
      decoded = []
      placeMappedBARs(decoded)
    }
  }

  /// Gives every BAR a place, as firmware would: the large ones first, each at a multiple of its
  /// size.
  ///
  /// The guest still turns *Memory Space* on itself. Places are the same for the same functions.
  ///
  /// - Parameters:
  ///   - window: the addresses to choose from; a window too small is a mistake of ours and traps,
  ///     here and below.
  ///   - ports: the ports to choose from.
  public func assignResources(window: Range<UInt64>, ports: Range<UInt64>) {
    let all = addresses.flatMap { address in
      (functions[address]?.configuration.bars ?? []).map { (address, $0) }
    }
    assign(all.filter { !$0.1.isIO }, window)
    assign(all.filter { $0.1.isIO }, ports)
  }

  private func assign(_ bars: [(PCIAddress, PCIBAR)], _ window: Range<UInt64>) {
    var next = window.lowerBound
    for (address, bar) in bars.sorted(by: { $0.1.byteCount > $1.1.byteCount }) {
      let start = (next + bar.byteCount - 1) & ~(bar.byteCount - 1)
      next = start + bar.byteCount
      precondition(next <= window.upperBound, "PCI window \(window) is too small")
      writeConfiguration(address, offset: bar.offset, width: 4, value: start & 0xFFFF_FFFF)
      if bar.is64Bit {
        writeConfiguration(address, offset: bar.offset + 4, width: 4, value: start >> 32)
      }
    }
  }

  /// Reads memory behind a BAR; nil where none is decoded.
  package func readMemory(_ address: UInt64, width: Int) -> UInt64? {
    read(address, width: width, isIO: false)
  }

  /// Writes memory behind a BAR; false where none is decoded.
  package func writeMemory(_ address: UInt64, width: Int, value: UInt64) -> Bool {
    write(address, width: width, value: value, isIO: false)
  }

  /// Reads ports behind a BAR; nil where none is decoded.
  package func readPort(_ port: UInt64, width: Int) -> UInt64? {
    read(port, width: width, isIO: true)
  }

  /// Writes ports behind a BAR; false where none is decoded.
  package func writePort(_ port: UInt64, width: Int, value: UInt64) -> Bool {
    write(port, width: width, value: value, isIO: true)
  }

  private func read(_ address: UInt64, width: Int, isIO: Bool) -> UInt64? {
    guard let (function, bar, offset) = lookUp(address, width: width, isIO: isIO) else {
      return nil
    }
    return function.endpoint.readBAR(bar, offset: offset, width: width)
      ?? function.readBAR(bar, offset: offset, width: width)
  }

  private func write(_ address: UInt64, width: Int, value: UInt64, isIO: Bool) -> Bool {
    guard let (function, bar, offset) = lookUp(address, width: width, isIO: isIO) else {
      return false
    }
    if !function.endpoint.writeBAR(bar, offset: offset, width: width, value: value) {
      function.writeBAR(bar, offset: offset, width: width, value: value)
    }
    return true
  }

  private func lookUp(
    _ address: UInt64, width: Int, isIO: Bool
  ) -> (any PCIFunction, Int, UInt64)? {
    decoded.withLock { decoded in
      for entry in decoded.reversed() where entry.bar.isIO == isIO {
        guard let offset = entry.bar.offset(of: address, width: width) else { continue }
        return (entry.function, entry.bar.index, offset)
      }
      return nil
    }
  }

  /// Maps the BARs that nothing overlaps, at their places; the others are accessed by exits, as the
  /// order of BARs wants it. Under the lock, so that the last state wins.
  private func placeMappedBARs(_ decoded: [Decoded]) {
    guard !mappedBARs.isEmpty else { return }
    let hidden = functions.values.compactMap(\.hiddenAddresses)
    for (address, mapped) in mappedBARs {
      let own = decoded.first { $0.address == address && $0.bar.index == mapped.bar.index }
      let isAlone =
        own.map { own in
          own.bar.start <= own.bar.last
            && !hidden.contains { $0.overlaps(own.bar.start..<own.bar.last) }
            && !decoded.contains { other in
              !other.bar.isIO && (other.address, other.bar.index) != (address, own.bar.index)
                && other.bar.start <= own.bar.last && own.bar.start <= other.bar.last
            }
        } ?? false
      mapped.place(at: isAlone ? own?.bar.start : nil)
    }
  }

  /// BARs that stayed keep their rank; those that moved, or came, become the last.
  private static func refresh(
    _ decoded: inout [Decoded], _ address: PCIAddress, _ function: any PCIFunction
  ) {
    let now = function.configuration.decodedBARs
    decoded.removeAll { $0.address == address && !now.contains($0.bar) }
    for bar in now where !decoded.contains(where: { $0.address == address && $0.bar == bar }) {
      decoded.append(Decoded(address: address, function: function, bar: bar))
    }
  }
}

extension PCIHost {
  /// Pauses all functions, for `saveState`; `resume` follows, after an error too.
  package func pause() throws(SavedStateError) {
    for address in addresses {
      guard let function = functions[address] else { continue }
      do {
        try function.pause()
      } catch {
        throw SavedStateError(part: Self.name(address, function), reason: error)
      }
    }
  }

  /// Lets all functions go on.
  package func resume() {
    for address in addresses { functions[address]?.resume() }
  }

  /// Adds what all functions are, paused.
  package func saveState(to state: inout SavedState) throws(SavedStateError) {
    for address in addresses {
      guard let function = functions[address] else { continue }
      try state.save(function, as: Self.name(address, function))
    }
    try state.save(self, as: Self.name)
  }

  /// Restores all functions, which are as new and not started.
  package func restoreState(from state: SavedState) throws(SavedStateError) {
    for address in addresses {
      guard let function = functions[address] else { continue }
      try state.restore(function, from: Self.name(address, function))
    }
    try state.restore(self, from: Self.name)
  }

  private static let name = "PCI bus"

  /// In messages; and the parts of a saved state are found by it.
  private static func name(_ address: PCIAddress, _ function: any PCIFunction) -> String {
    "\(type(of: function)) in PCI slot \(address.device)"
      + (address.function == 0 ? "" : ".\(address.function)")
  }
}

extension PCIHost: StatefulDevice {
  /// Which of BARs that overlap answers: the order in which they were placed. Where they are, their
  /// functions know.
  public func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try decoded.withLock { (decoded) throws(StateError) in
      var order = decoded.map(\.place)
      try transfer.integers(&order, maximumCount: 256 * 6)
      guard transfer.isRestoring else { return }
      for (address, function) in functions { Self.refresh(&decoded, address, function) }
      let rank = Dictionary(order.enumerated().map { ($1, $0) }) { first, _ in first }
      func position(_ entry: Decoded) -> Int { rank[entry.place] ?? order.count }
      decoded.sort { position($0) < position($1) }
      placeMappedBARs(decoded)
    }
  }
}
