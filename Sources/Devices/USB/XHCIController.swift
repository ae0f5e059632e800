public import DeviceKit
internal import HostSystem

/// A USB controller (xHCI 1.0) with a tablet, a keyboard or both plugged in.
///
/// Control and interrupt transfers, 64 slots, one interrupter with MSI-X or the INTx pin, Event
/// Data. Streams, isochronous transfers, hubs and hot plug are left out. Register accesses return
/// at once; commands and transfers run on a thread of its own.
public final class XHCIController: PCIFunction {
  /// What can be plugged in.
  public enum Device: Sendable {
    /// An absolute pointer, with a wheel.
    case tablet
    case keyboard
  }

  /// With 32 address bits, as the NVMe disk's.
  private static let bar = PCIBAR(index: 0, byteCount: 0x4000)
  private static let vectorTable = UInt32(XHCICore.Register.endOffset)
  private static let pendingBits: UInt32 = vectorTable + 0x800
  /// *SBRN*: USB 3.0; *FLADJ*: frames of 1 ms.
  private static let releaseNumber = 0x60
  private static let release: UInt16 = 0x2030

  /// Its end of the bus.
  public let endpoint: PCIEndpoint
  let engine: XHCIEngine
  private let threads: DeviceThreads

  /// A controller that is ready for a driver once it is started.
  ///
  /// - Parameters:
  ///   - devices: each at most once.
  ///   - context: the machine around it.
  public init(_ devices: [Device], context: PCIContext) {
    precondition(Set(devices).count == devices.count, "a USB device is there twice: \(devices)")
    // Vendor and device are QEMU's, of a controller that drivers know for nothing special.
    var space = PCIConfigurationSpace(
      identity: PCIIdentity(vendor: 0x1B36, device: 0x000D, revision: 1, classCode: 0x0C_0330),
      interruptPin: 1)
    space.addBAR(Self.bar)
    space.addMSIX(
      vectorCount: 1, bar: Self.bar, tableOffset: Self.vectorTable,
      pendingOffset: Self.pendingBits)
    space.addPowerManagement()
    space.preset(Self.release, at: Self.releaseNumber)
    endpoint = PCIEndpoint(space, context: context)
    engine = XHCIEngine(
      endpoint: endpoint,
      devices: devices.map { device in
        switch device {
        case .tablet: HIDDevice(USBTablet())
        case .keyboard: HIDDevice(USBKeyboard())
        }
      })
    threads = DeviceThreads(engine.work, onStart: context.onThreadStart)
  }

  deinit {
    stop()
  }

  /// Starts the thread.
  ///
  /// - Throws: `DeviceError` when the host gives no more threads.
  public func start() throws(DeviceError) {
    // A restored controller may have something to do.
    engine.work.add(0)
    try threads.start(count: 1, kind: "USB") { [engine] in engine.serve() }
  }

  /// Ends the thread. Guest memory is left alone from then on. May be called again. Not on the
  /// thread itself.
  public func stop() {
    threads.stop()
  }

  /// Waits until the thread is idle. Viewers' keys and pointers are taken all the same, and get to
  /// the guest after `resume`.
  public func pause() throws(StateError) {
    try threads.pause()
  }

  /// Goes on with what there is to do.
  public func resume() {
    threads.resume()
  }

  /// Saves or restores the controller and what is plugged in.
  public func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try endpoint.transferState(&transfer)
    try engine.transferState(&transfer)
  }

  /// Reads registers.
  public func readBAR(_ index: Int, offset: UInt64, width: Int) -> UInt64 {
    engine.read(offset: offset, width: width)
  }

  /// Writes registers, which may begin work.
  public func writeBAR(_ index: Int, offset: UInt64, width: Int, value: UInt64) {
    engine.write(offset: offset, width: width, value: value)
  }

  /// Follows *Bus Master* and MSI-X's control.
  public func configurationChanged() {
    engine.configurationChanged()
  }

  /// Everything as after power-on.
  public func reset() {
    engine.reset()
    endpoint.reset()
  }
}
