internal import DeviceKit
internal import GuestMemory
internal import HostSystem

/// The controller's lock, and where viewers come in with keys and pointers. They may hold it a
/// little longer than its machine, so it leads to nothing that reaches guest memory. Any thread.
final class XHCIInputs: Sendable {
  fileprivate let core: Guarded<XHCICore>
  /// It has one number: there is something to do.
  let work = WorkList(count: 1)

  init(_ devices: [HIDDevice]) {
    core = Guarded(XHCICore(devices))
  }

  /// Gives a device what a viewer did, if the guest listens to one that takes it.
  ///
  /// - Returns: whether there is one.
  func take(_ input: HIDInput) -> Bool {
    // No interrupt: a viewer's thread may send none.
    let isTaken = core.withLock { $0.take(input) }
    if isTaken { work.add(0) }
    return isTaken
  }

  /// The lights of the keyboard that the guest listens to; nil if there is none.
  var lights: KeyboardLights? { core.withLock { $0.lights } }
}

/// The part of the controller that vCPUs come to with registers, and its thread, the only one that
/// reads and writes guest memory.
///
/// Lock order: the inputs', then those of the endpoint.
final class XHCIEngine: Sendable {
  private let endpoint: PCIEndpoint
  let inputs: XHCIInputs
  var work: WorkList { inputs.work }

  init(endpoint: PCIEndpoint, devices: [HIDDevice]) {
    self.endpoint = endpoint
    inputs = XHCIInputs(devices)
  }

  // MARK: Registers, on vCPU threads

  func read(offset: UInt64, width: Int) -> UInt64 {
    inputs.core.withLock { core in
      let low = offset & ~3
      let value = UInt64(core.read(low)) | UInt64(core.read(low + 4)) << 32
      return value >> (8 * (offset & 3))
    }
  }

  /// Writes registers, 4 or 8 bytes at a multiple of 4; others are dropped, as the specification
  /// knows no narrower ones.
  func write(offset: UInt64, width: Int, value: UInt64) {
    guard width >= 4, offset % 4 == 0 else { return }
    change { core in
      for half in 0..<UInt64(width / 4) {
        core.write(offset + 4 * half, UInt32(truncatingIfNeeded: value >> (32 * half)))
      }
    }
  }

  /// Follows *Bus Master*, for which work may have waited, and MSI-X's control.
  func configurationChanged() {
    change { _ in }
  }

  /// Everything as after power-on; no vCPU runs meanwhile.
  func reset() {
    change { $0.reset() }
  }

  private func change(_ body: (inout XHCICore) -> Void) {
    let (mustSignal, hasWork) = inputs.core.withLock { core in
      body(&core)
      return (updateInterrupt(&core), core.hasWork)
    }
    if mustSignal { endpoint.signal(0) }
    if hasWork { work.add(0) }
  }

  /// Drives the pin.
  ///
  /// - Returns: whether a message is to go out.
  private func updateInterrupt(_ core: inout XHCICore) -> Bool {
    let isInterrupting = core.isInterrupting
    guard endpoint.usesMSIX else {
      endpoint.setPin(isInterrupting)
      return false
    }
    endpoint.setPin(false)
    if isInterrupting { core.interrupter.clearPending() }
    return isInterrupting
  }

  /// Whether there is nothing to do.
  var isIdle: Bool { inputs.core.withLock { !$0.hasWork } }

  // MARK: Work, on the controller's thread

  /// Works until the list is closed.
  func serve() {
    while work.next() != nil { serveOnce() }
  }

  /// Works on the calling thread if there is something to do: an engine without threads does the
  /// same at every run, which fuzzing needs.
  func serveIfWaiting() {
    while work.nextIfWaiting() != nil { serveOnce() }
  }

  private func serveOnce() {
    // The rest waits for the end of a pause.
    defer { if work.isAtRest { work.add(0) } }
    while !work.isAtRest {
      let (mustSignal, goesOn) = inputs.core.withLock { core in
        guard let memory = endpoint.memory else { return (false, false) }
        let goesOn = core.work(memory)
        return (updateInterrupt(&core), goesOn)
      }
      if mustSignal { endpoint.signal(0) }
      guard goesOn else { return }
    }
  }
}

extension XHCIEngine {
  /// Saves or restores it. Viewers may come in at any time: what they did is in it, or is not.
  func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try inputs.core.withLock { core throws(StateError) in
      try core.transfer(&transfer)
      // A message that was to go out has gone.
      if transfer.isRestoring { endpoint.setPin(!endpoint.usesMSIX && core.isInterrupting) }
    }
  }
}
