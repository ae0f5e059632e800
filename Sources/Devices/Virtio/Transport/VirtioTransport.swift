internal import Bytes
internal import DeviceKit
internal import GuestMemory
internal import HostSystem

/// What a virtio driver reaches through its device's BAR, wherever that is: common configuration,
/// ISR, the device's own configuration, notifications. Runs on vCPU threads.
final class VirtioTransport: Sendable {
  /// As many as notifications have room for.
  static let maximumQueueCount = 64

  /// The structures, a page each, in the BAR.
  enum Region {
    static let common: UInt64 = 0x0000
    static let interruptStatus: UInt64 = 0x1000
    static let configuration: UInt64 = 0x2000
    static let notify: UInt64 = 0x3000
    static let end: UInt64 = 0x4000
    /// *notify_off_multiplier*.
    static let notifyMultiplier: UInt64 = 4
  }

  let link: VirtioLink
  let model: any VirtioModel
  private let description: VirtioDescription
  private let registers: Guarded<VirtioRegisters>
  private var signals: VirtioSignals { link.signals }

  init(
    _ description: VirtioDescription, endpoint: PCIEndpoint,
    model: (VirtioLink) -> any VirtioModel
  ) {
    let signals = VirtioSignals(endpoint: endpoint, queueCount: description.queueSizes.count)
    link = VirtioLink(
      queues: description.queueSizes.indices.map { VirtioQueue($0, signals) }, signals: signals)
    self.description = description
    self.model = model(link)
    registers = Guarded(Self.initialRegisters(description))
  }

  private static func initialRegisters(_ description: VirtioDescription) -> VirtioRegisters {
    VirtioRegisters(
      offered: description.features.union(.ofTransport), queueSizes: description.queueSizes)
  }

  // MARK: Registers

  /// Reads; what is not there is 0.
  func read(offset: UInt64, width: Int) -> UInt64 {
    let place = Int(offset % 0x1000)
    switch offset - UInt64(place) {
    case Region.common:
      guard place < VirtioRegisters.Offset.end else { return 0 }
      let bytes = registers.withLock {
        $0.bytes(needsReset: signals.needsReset, generation: signals.generation)
      }
      return Self.value(bytes, place, width)
    case Region.interruptStatus:
      return place == 0 ? UInt64(signals.takeInterruptStatus()) : 0
    case Region.configuration:
      return Self.value(model.configuration, place, width)
    default:
      return 0
    }
  }

  /// The bytes that there are; zeros behind them.
  private static func value(_ bytes: [UInt8], _ offset: Int, _ width: Int) -> UInt64 {
    let count = min(width, 8, max(bytes.count - offset, 0))
    return bytes.loadLE(at: offset, byteCount: count) ?? 0
  }

  /// Writes; notifications return at once.
  func write(offset: UInt64, width: Int, value: UInt64) {
    switch offset {
    case Region.common..<Region.interruptStatus:
      registers.withLock { registers in
        apply(registers.write(Int(offset), width: width, value), &registers)
      }
    case Region.configuration..<Region.notify:
      model.writeConfiguration(
        Int(offset - Region.configuration), width: width, value: value)
    case Region.notify..<Region.end:
      // The place says which; what is written says the same.
      let (queue, rest) = (offset - Region.notify).quotientAndRemainder(
        dividingBy: Region.notifyMultiplier)
      guard rest == 0, queue < UInt64(link.queues.count) else { return }
      model.notify(Int(queue))
    default:
      break
    }
  }

  private func apply(_ change: VirtioRegisters.Change, _ registers: inout VirtioRegisters) {
    switch change {
    case .none: break
    case .reset: reset(&registers)
    case .started:
      signals.listen()
      model.driverStarted(registers.driverFeatures)
      for index in registers.queues.indices where registers.queues[index].isEnabled {
        begin(index, registers)
      }
    case .queueEnabled(let index): begin(index, registers)
    case .queueReset(let index):
      link.queues[index].end()
      model.queueStopped(index)
    case .vector(let queue, let vector):
      registers.setVector(
        signals.setVector(vector, of: queue ?? link.queues.count), of: queue)
    }
  }

  private func begin(_ index: Int, _ registers: borrowing VirtioRegisters) {
    link.queues[index].begin(
      Self.layout(of: index, registers),
      isPacked: registers.driverFeatures.contains(.packedRing))
    // The driver may have filled it before.
    model.notify(index)
  }

  private static func layout(
    of index: Int, _ registers: borrowing VirtioRegisters
  ) -> VirtqueueLayout {
    let (queue, features) = (registers.queues[index], registers.driverFeatures)
    return VirtqueueLayout(
      size: queue.size, descriptors: GPA(queue.areas[0]), driver: GPA(queue.areas[1]),
      device: GPA(queue.areas[2]),
      hasIndirectDescriptors: features.contains(.indirectDescriptors),
      hasEventIndex: features.contains(.eventIndex))
  }

  /// Work may have waited for *Bus Master*.
  func configurationChanged() {
    for index in link.queues.indices { model.notify(index) }
  }

  /// Everything as after power-on. Guest memory is left alone when this returns.
  func reset() {
    registers.withLock { reset(&$0) }
  }

  private func reset(_ registers: inout VirtioRegisters) {
    for queue in link.queues { queue.end() }
    signals.reset()
    model.driverStopped()
    registers = Self.initialRegisters(description)
  }
}

extension VirtioTransport {
  /// Saves or restores registers and queues, then the model. Queues that were live are so again.
  func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try registers.withLock { [link] registers throws(StateError) in
      try registers.transfer(&transfer, vectorCount: link.signals.endpoint.vectorCount)
      let isReady = registers.status.contains(.driverOK)
      for (index, queue) in link.queues.enumerated() {
        try queue.transfer(
          &transfer, Self.layout(of: index, registers),
          isPacked: registers.driverFeatures.contains(.packedRing),
          mayBeLive: isReady && registers.queues[index].isEnabled)
      }
      try link.signals.transfer(&transfer, registers)
    }
    try model.transferState(&transfer)
  }
}
