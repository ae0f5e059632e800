internal import HostSystem

/// A function's INTx pin: level-triggered, held back by *Interrupt Disable*,
/// and while messages are on.
final class INTxPin: Sendable {
  private let configuration: PCIConfiguration
  private let line: (any InterruptLine)?
  private let state = Guarded(State())

  private struct State {
    var isPending = false
    /// What the line was last set to.
    var isAsserted = false
  }

  /// A pin of the function with `configuration`, wired to `line`, if at all.
  init(configuration: PCIConfiguration, line: (any InterruptLine)?) {
    self.configuration = configuration
    self.line = line
  }

  /// Whether the function wants attention. Any thread.
  func set(_ wantsAttention: Bool) {
    state.withLock { state in
      guard wantsAttention != state.isPending else { return }
      state.isPending = wantsAttention
      drive(&state)
    }
  }

  /// Follows a write of the command register.
  func configurationChanged() {
    state.withLock { drive(&$0) }
  }

  /// Sets the line if it has to change, under the lock, so that levels arrive in their order.
  private func drive(_ state: inout State) {
    let isAsserted = configuration.setInterruptStatus(state.isPending)
    guard isAsserted != state.isAsserted else { return }
    state.isAsserted = isAsserted
    line?.set(isAsserted)
  }
}

extension INTxPin {
  /// Whether attention is wanted; the line is driven anew.
  func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    var isPending = state.withLock { $0.isPending }
    try transfer.flag(&isPending)
    if transfer.isRestoring { set(isPending) }
  }
}
