/// A PCI device model: configuration registers and what is behind its BARs.
///
/// All calls come on vCPU threads, several at once, with no lock of the host held; the guest
/// chooses all values, so none may trap.
public protocol PCIFunction: AnyObject, Sendable {
  /// Its configuration registers.
  var configuration: PCIConfiguration { get }

  /// Answers a read inside a BAR: `offset + width` is within its size.
  func readBAR(_ index: Int, offset: UInt64, width: Int) -> UInt64

  /// Takes a write inside a BAR: `offset + width` is within its size.
  func writeBAR(_ index: Int, offset: UInt64, width: Int, value: UInt64)

  /// The guest wrote a configuration register; another thread may have written one since.
  func configurationChanged()

  /// Whether reads or writes of guest memory are on their way.
  var hasTransactionsPending: Bool { get }

  /// The guest resets this function alone (*Function Level Reset*): everything as after power-on.
  /// Its configuration registers are so already, and answer nobody until the function calls
  /// `PCIConfiguration.endFunctionReset`: when it leaves guest memory alone, which may be later, on
  /// another thread. Only for functions with the PCI Express capability.
  func functionLevelReset()

  /// Everything as after power-on, configuration registers too. No vCPU runs meanwhile.
  func reset()
}

// What a function without BARs, or without registers that do anything, need not write.
extension PCIFunction {
  /// All ones.
  public func readBAR(_ index: Int, offset: UInt64, width: Int) -> UInt64 { .max }

  /// Drops the write.
  public func writeBAR(_ index: Int, offset: UInt64, width: Int, value: UInt64) {}

  /// Does nothing.
  public func configurationChanged() {}

  /// None.
  public var hasTransactionsPending: Bool { false }

  /// Ends it at once.
  public func functionLevelReset() { configuration.endFunctionReset() }

  /// Resets the configuration registers.
  public func reset() { configuration.reset() }
}
