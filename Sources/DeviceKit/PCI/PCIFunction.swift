/// A PCI device model: what is behind the BARs of its endpoint.
///
/// Calls for registers come on vCPU threads, several at once, with no lock of the host held; the
/// guest chooses all values, so none may trap. Add one to a machine by
/// `PersonalComputerConfiguration.pciDevices`.
public protocol PCIFunction: Device {
  /// Its end of the bus: configuration registers, memory, interrupts.
  var endpoint: PCIEndpoint { get }

  /// Answers a read inside a BAR: `offset + width` is within its size. Not for what the endpoint
  /// answers.
  func readBAR(_ index: Int, offset: UInt64, width: Int) -> UInt64

  /// Takes a write inside a BAR: `offset + width` is within its size. Not for what the endpoint
  /// takes.
  func writeBAR(_ index: Int, offset: UInt64, width: Int, value: UInt64)

  /// The guest wrote a configuration register; another thread may have written one since. The
  /// endpoint follows already.
  func configurationChanged()

  /// The guest is about to read configuration registers: one whose value is elsewhere can be set
  /// now (`PCIConfiguration.preset`).
  func configurationWillBeRead(offset: Int, width: Int)

  /// The guest wrote these configuration registers; after `configurationChanged`.
  func configurationWritten(offset: Int, width: Int)

  /// Whether reads or writes of guest memory are on their way.
  var hasTransactionsPending: Bool { get }

  /// Addresses at which this function answers before any BAR does.
  var hiddenAddresses: Range<UInt64>? { get }

  /// The guest resets this function alone (*Function Level Reset*): everything as after power-on.
  /// Its configuration registers are so already, and do not answer until the function calls
  /// `PCIConfiguration.endFunctionReset`: when it leaves guest memory alone, which may be later, on
  /// another thread. Only for functions with the PCI Express capability.
  func functionLevelReset()

  /// Everything as after power-on, the endpoint too. No vCPU runs meanwhile.
  func reset()
}

// What a function without BARs, or without registers that do anything, need not write.
extension PCIFunction {
  /// The endpoint's configuration registers.
  public var configuration: PCIConfiguration { endpoint.configuration }

  /// All ones.
  public func readBAR(_ index: Int, offset: UInt64, width: Int) -> UInt64 { .max }

  /// Drops the write.
  public func writeBAR(_ index: Int, offset: UInt64, width: Int, value: UInt64) {}

  /// Does nothing.
  public func configurationChanged() {}

  /// Does nothing.
  public func configurationWillBeRead(offset: Int, width: Int) {}

  /// Does nothing.
  public func configurationWritten(offset: Int, width: Int) {}

  /// None.
  public var hasTransactionsPending: Bool { false }

  /// None.
  public var hiddenAddresses: Range<UInt64>? { nil }

  /// Ends it at once.
  public func functionLevelReset() { configuration.endFunctionReset() }

  /// Resets the endpoint.
  public func reset() { endpoint.reset() }
}
