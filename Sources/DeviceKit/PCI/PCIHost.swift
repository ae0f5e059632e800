internal import HostSystem

/// Bus 0: its functions by place, their configuration registers, and where their BARs are decoded.
///
/// Nothing below refuses a BAR a place: guests move BARs one by one and let them overlap meanwhile.
/// Of BARs that overlap, the one placed last answers; when it moves on, the other is there again.
public final class PCIHost: Sendable {
  private struct Decoded {
    let address: PCIAddress
    let function: any PCIFunction
    let bar: PlacedBAR
  }

  private let functions: [PCIAddress: any PCIFunction]
  /// In the order in which they were placed. The lock also keeps configuration writes in one order.
  private let decoded = Guarded<[Decoded]>([])

  /// A bus with these functions.
  ///
  /// The VMM chooses places: one taken twice, or a device without function 0, which no guest would
  /// find, is a mistake of ours and traps.
  public init(_ functions: [(PCIAddress, any PCIFunction)]) {
    self.functions = Dictionary(functions) { _, _ in preconditionFailure("PCI place taken twice") }
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
      function.functionLevelReset()
    } else {
      function.configurationChanged()
    }
  }

  /// Everything as after power-on; BARs have no place then. No vCPU runs meanwhile.
  public func reset() {
    for function in functions.values { function.reset() }
    for address in functions.keys where address.function > 0 {
      functions[PCIAddress(device: address.device)]?.configuration.markMultiFunction()
    }
    decoded.withLock { $0 = [] }
  }

  /// Gives every BAR a place, as firmware would: the large ones first, each at a multiple of its
  /// size.
  ///
  /// The guest still turns *Memory Space* on itself. Places are the same for the same functions.
  ///
  /// - Parameter window: the addresses to choose from; a window too small is a mistake of ours and
  ///   traps.
  public func assignResources(window: Range<UInt64>) {
    let all = addresses.flatMap { address in
      (functions[address]?.configuration.bars ?? []).map { (address, $0) }
    }
    var next = window.lowerBound
    for (address, bar) in all.sorted(by: { $0.1.byteCount > $1.1.byteCount }) {
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
    guard let (function, bar, offset) = lookUp(address, width: width) else { return nil }
    return function.readBAR(bar, offset: offset, width: width)
  }

  /// Writes memory behind a BAR; false where none is decoded.
  package func writeMemory(_ address: UInt64, width: Int, value: UInt64) -> Bool {
    guard let (function, bar, offset) = lookUp(address, width: width) else { return false }
    function.writeBAR(bar, offset: offset, width: width, value: value)
    return true
  }

  private func lookUp(_ address: UInt64, width: Int) -> (any PCIFunction, Int, UInt64)? {
    decoded.withLock { decoded in
      for entry in decoded.reversed() {
        guard let offset = entry.bar.offset(of: address, width: width) else { continue }
        return (entry.function, entry.bar.index, offset)
      }
      return nil
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
