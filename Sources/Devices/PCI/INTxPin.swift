internal import Synchronization

/// A function's INTx pin: level-triggered, held back by *Interrupt Disable*.
public final class INTxPin: Sendable {
  private let configuration: PCIConfiguration
  private let line: (any InterruptLine)?
  private let isPending = Mutex(false)

  /// A pin of the function with `configuration`, wired to `line`, if at all.
  public init(configuration: PCIConfiguration, line: (any InterruptLine)?) {
    self.configuration = configuration
    self.line = line
  }

  /// Whether the function wants attention. Any thread.
  public func set(_ wantsAttention: Bool) {
    isPending.withLock { isPending in
      guard wantsAttention != isPending else { return }
      isPending = wantsAttention
      // Under the lock, so that levels arrive in the order in which they were set.
      line?.set(configuration.setInterruptStatus(wantsAttention))
    }
  }

  /// Follows a write of the command register.
  public func configurationChanged() {
    isPending.withLock { line?.set(configuration.setInterruptStatus($0)) }
  }
}
