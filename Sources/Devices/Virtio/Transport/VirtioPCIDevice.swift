internal import Bytes
public import DeviceKit
internal import HostSystem

/// A virtio device on PCI (virtio 1.2 §4.1), without the interface of before 1.0.
///
/// Split and packed queues, indirect descriptors, event index, reset of single queues; MSI-X with a
/// vector for each queue and one for the configuration, or the INTx pin.
public final class VirtioPCIDevice: PCIFunction {
  /// The only BAR, with 32 address bits as the NVMe disk's: the structures, a page each, then
  /// MSI-X.
  private static let bar = PCIBAR(index: 0, byteCount: 0x8000)
  private static let vectorTable = UInt32(VirtioTransport.Region.end)
  private static let pendingBits: UInt32 = vectorTable + 0x1000
  private static let vendor: UInt16 = 0x1AF4
  /// A device's number is this and its type.
  private static let firstDevice: UInt16 = 0x1040

  /// Its end of the bus.
  public let endpoint: PCIEndpoint
  let transport: VirtioTransport
  private let window: VirtioWindow

  /// A device that is ready for a driver once it is started.
  ///
  /// - Parameter model: makes what is behind the queues.
  package init(
    _ description: VirtioDescription, context: PCIContext,
    model: (VirtioLink) -> any VirtioModel
  ) {
    let type = description.type
    var space = PCIConfigurationSpace(
      identity: PCIIdentity(
        vendor: Self.vendor, device: Self.firstDevice + type, revision: 1,
        classCode: description.classCode, subsystemVendor: Self.vendor,
        subsystem: Self.firstDevice + type),
      interruptPin: 1)
    space.addBAR(Self.bar)
    space.addMSIX(
      vectorCount: description.queueSizes.count + 1, bar: Self.bar,
      tableOffset: Self.vectorTable, pendingOffset: Self.pendingBits)
    typealias Region = VirtioTransport.Region
    space.addVirtio(.common, Region.common, byteCount: UInt32(VirtioRegisters.Offset.end))
    space.addVirtio(.interruptStatus, Region.interruptStatus, byteCount: 1)
    space.addVirtio(.configuration, Region.configuration, byteCount: 0x100)
    space.addVirtio(
      .notify, Region.notify,
      byteCount: UInt32(Region.notifyMultiplier) * UInt32(description.queueSizes.count),
      more: UInt32(Region.notifyMultiplier).littleEndianBytes)
    window = VirtioWindow(&space, bar: Self.bar)
    space.addPowerManagement()
    space.addExpressEndpoint()
    endpoint = PCIEndpoint(space, context: context)
    transport = VirtioTransport(description, endpoint: endpoint, model: model)
  }

  deinit {
    stop()
  }

  /// Starts the threads that work on the queues.
  ///
  /// - Throws: `DeviceError` when the host gives no more threads; `stop` ends those there may be.
  public func start() throws(DeviceError) {
    try transport.model.start()
    transport.link.signals.release()
  }

  /// Ends the threads. Guest memory is left alone from then on. May be called again. Not on one of
  /// them.
  public func stop() {
    transport.model.stop()
  }

  /// Waits until nothing works on the queues.
  public func pause() throws(StateError) {
    transport.link.signals.hold()
    try transport.model.pause()
  }

  /// Goes on with what waits in the queues, and announces what has changed meanwhile.
  public func resume() {
    transport.link.signals.release()
    transport.model.resume()
  }

  /// Saves or restores registers, queues and what is behind them.
  public func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try endpoint.transferState(&transfer)
    try transport.transferState(&transfer)
  }

  /// Reads the structures.
  public func readBAR(_ index: Int, offset: UInt64, width: Int) -> UInt64 {
    offset < VirtioTransport.Region.end ? transport.read(offset: offset, width: width) : 0
  }

  /// Writes the structures, notifies queues.
  public func writeBAR(_ index: Int, offset: UInt64, width: Int, value: UInt64) {
    guard offset < VirtioTransport.Region.end else { return }
    transport.write(offset: offset, width: width, value: value)
  }

  /// Follows *Bus Master*.
  public func configurationChanged() {
    transport.configurationChanged()
  }

  /// Fills *pci_cfg_data* when it is read.
  public func configurationWillBeRead(offset: Int, width: Int) {
    window.prepareRead(offset, width, of: self)
  }

  /// Passes on what was written to *pci_cfg_data*.
  public func configurationWritten(offset: Int, width: Int) {
    window.passWrite(offset, width, to: self)
  }

  /// Everything as after power-on.
  public func functionLevelReset() {
    transport.reset()
    configuration.endFunctionReset()
  }

  /// Everything as after power-on.
  public func reset() {
    transport.reset()
    endpoint.reset()
  }
}
