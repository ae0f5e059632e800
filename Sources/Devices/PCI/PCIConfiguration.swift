internal import ZeroTracker

/// A function's configuration registers, shared between vCPU threads and the device model.
///
/// The guest's accesses come through `PCIHost`, which keeps its map of decoded BARs up to date; a write
/// that goes around the host moves no BAR there.
public final class PCIConfiguration: Sendable {
  private let space: Guarded<PCIConfigurationSpace>
  private let atReset: PCIConfigurationSpace

  /// Registers that begin, and after a reset are, as in `space`.
  public init(_ space: PCIConfigurationSpace) {
    self.space = Guarded(space)
    atReset = space
  }

  /// The memory BARs.
  public var bars: [PCIBAR] { atReset.bars }

  /// The command register now.
  public var command: PCICommand { space.withLock { $0.command } }

  /// Where a BAR is now, decoded or not.
  public func address(of bar: PCIBAR) -> UInt64 {
    space.withLock { $0.address(of: bar) }
  }

  /// What the guest reads; any values are accepted.
  public func read(offset: Int, width: Int) -> UInt64 {
    space.withLock { $0.read(offset: offset, width: width) }
  }

  /// Takes the guest's write; any values are accepted.
  public func write(offset: Int, width: Int, value: UInt64) {
    space.withLock { $0.write(offset: offset, width: width, value: value) }
  }

  /// Sets a register from the device model's side, whatever the guest may write there. It is not kept
  /// over a reset.
  public func preset<T: FixedWidthInteger & UnsignedInteger>(_ value: T, at offset: Int) {
    space.withLock { $0.preset(value, at: offset) }
  }

  /// Everything as it was made, as after power-on.
  public func reset() {
    space.withLock { $0 = atReset }
  }

  var decodedBARs: [PlacedBAR] {
    space.withLock { $0.decodedBARs }
  }

  /// Sets *Interrupt Status*, and tells whether the INTx line should be asserted.
  func setInterruptStatus(_ isPending: Bool) -> Bool {
    space.withLock { space in
      let status = PCIStatus(rawValue: space.value(at: PCIRegister.status))
      let changed = isPending ? status.union(.interrupt) : status.subtracting(.interrupt)
      space.preset(changed.rawValue, at: PCIRegister.status)
      return isPending && !space.command.contains(.interruptDisable)
    }
  }

  /// Sets *Multi-Function*, which is a matter of the place and not of the function.
  func markMultiFunction() {
    space.withLock { space in
      let type: UInt8 = space.value(at: PCIRegister.headerType)
      space.preset(type | PCIRegister.multiFunction, at: PCIRegister.headerType)
    }
  }
}
