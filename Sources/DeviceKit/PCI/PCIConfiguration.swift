internal import HostSystem
internal import Synchronization

/// A function's configuration registers, shared between vCPU threads and the device model.
///
/// The guest's accesses come through `PCIHost`, which keeps its map of decoded BARs up to date; a
/// write that goes around the host moves no BAR there.
public final class PCIConfiguration: Sendable {
  private struct State {
    var space: PCIConfigurationSpace
    /// A function level reset has begun and not ended: registers do not answer.
    var isResetting = false
  }

  private let state: Guarded<State>
  /// `State.space.isBusMaster`, written in the lock. Relaxed: the value is all that is shared.
  private let busMaster = Atomic(false)
  private let atReset: PCIConfigurationSpace

  /// Registers that begin, and after a reset are, as in `space`.
  public init(_ space: PCIConfigurationSpace) {
    state = Guarded(State(space: space))
    atReset = space
  }

  /// The BARs.
  public var bars: [PCIBAR] { atReset.bars }

  /// The command register now.
  public var command: PCICommand { state.withLock { $0.space.command } }

  /// Whether the function may reach memory: *Bus Master* is on, and it is in D0. On its own, as
  /// every command of a device looks at it.
  public var isBusMaster: Bool { busMaster.load(ordering: .relaxed) }

  /// Where a BAR is now, decoded or not.
  public func address(of bar: PCIBAR) -> UInt64 {
    state.withLock { $0.space.address(of: bar) }
  }

  /// What the guest reads; any values are accepted. All ones during a function level reset, as from
  /// a place without a function: guests wait for more.
  public func read(offset: Int, width: Int) -> UInt64 {
    state.withLock { state in
      state.isResetting ? .max : state.space.read(offset: offset, width: width)
    }
  }

  /// Takes the guest's write; any values are accepted. Dropped during a function level reset.
  public func write(offset: Int, width: Int, value: UInt64) {
    state.withLock { state in
      guard !state.isResetting else { return }
      state.space.write(offset: offset, width: width, value: value)
      noteBusMaster(state)
    }
  }

  /// A register as the device model sees it, whether the guest can see it now or not.
  public func value<T: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
    at offset: Int, as type: T.Type = T.self
  ) -> T {
    state.withLock { $0.space.value(at: offset) }
  }

  /// Sets a register from the device model's side, whatever the guest may write there. It is not
  /// kept over a reset.
  public func preset<T: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
    _ value: T, at offset: Int
  ) {
    state.withLock { state in
      state.space.preset(value, at: offset)
      noteBusMaster(state)
    }
  }

  private func noteBusMaster(_ state: borrowing State) {
    busMaster.store(state.space.isBusMaster, ordering: .relaxed)
  }

  /// Looks at all registers, and changes some, while no guest writes any.
  package func update<Result>(_ body: (inout PCIConfigurationSpace) -> Result) -> Result {
    state.withLock { body(&$0.space) }
  }

  /// Everything as it was made, as after power-on.
  public func reset() {
    state.withLock { state in
      state = State(space: atReset)
      noteBusMaster(state)
    }
  }

  /// Ends a function level reset: the registers, which are as at power-on, answer again.
  public func endFunctionReset() {
    state.withLock { $0.isResetting = false }
  }

  /// Begins the function level reset that the guest has asked for; false if it has not.
  func beginFunctionReset() -> Bool {
    state.withLock { state in
      guard state.space.takeFunctionReset() else { return false }
      let type: UInt8 = state.space.value(at: PCIRegister.headerType)
      state = State(space: atReset, isResetting: true)
      noteBusMaster(state)
      // A matter of the place.
      state.space.preset(type, at: PCIRegister.headerType)
      return true
    }
  }

  /// Sets *Transactions Pending* before a read of it, if the read is one.
  func prepareRead(offset: Int, width: Int, hasTransactionsPending: () -> Bool) {
    guard state.withLock({ $0.space.reachesDeviceStatus(offset: offset, width: width) }) else {
      return
    }
    let isPending = hasTransactionsPending()
    state.withLock { $0.space.setTransactionsPending(isPending) }
  }

  var decodedBARs: [PlacedBAR] {
    state.withLock { $0.space.decodedBARs }
  }

  /// Sets *Interrupt Status*, and tells whether the INTx line should be asserted.
  func setInterruptStatus(_ isPending: Bool) -> Bool {
    state.withLock { state in
      let status = PCIStatus(rawValue: state.space.value(at: PCIRegister.status))
      let changed = isPending ? status.union(.interrupt) : status.subtracting(.interrupt)
      state.space.preset(changed.rawValue, at: PCIRegister.status)
      return isPending && state.space.isAwake && !state.space.usesMessages
        && !state.space.command.contains(.interruptDisable)
    }
  }

  /// Sets *Multi-Function*, which is a matter of the place and not of the function.
  func markMultiFunction() {
    state.withLock { state in
      let type: UInt8 = state.space.value(at: PCIRegister.headerType)
      state.space.preset(type | PCIRegister.multiFunction, at: PCIRegister.headerType)
    }
  }
}

extension PCIConfiguration: StatefulDevice {
  /// The registers; whether there is a function of this kind was known before.
  public func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try state.withLock { (state) throws(StateError) in
      try state.space.transfer(&transfer)
      try transfer.flag(&state.isResetting)
      noteBusMaster(state)
    }
  }
}
