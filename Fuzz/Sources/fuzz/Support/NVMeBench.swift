internal import GuestMemory

@testable internal import DeviceKit
@testable internal import Devices
@testable internal import HostSystem

/// An NVMe engine as a controller has it, without threads, with a disk, guest memory, and a
/// driver's tails.
final class NVMeBench {
  /// Sixteen pages for PRP lists, and sixteen for data, at the least.
  static let lists: UInt64 = 0x1_0000
  static let data: UInt64 = 0x2_0000
  private static let adminSubmission: UInt64 = 0x1000
  private static let adminCompletion: UInt64 = 0x2000
  private static let entryCount = 16

  let store = FuzzStore()
  let engine: NVMeEngine
  private let bench: DeviceBench
  private var memory: GuestMemory { bench.memory }
  private let configuration: PCIConfiguration
  private let endpoint: PCIEndpoint
  /// Of MSI-X.
  private let capability: Int
  /// *Device Control* of the PCI Express capability.
  private let deviceControl: Int
  private let pairCount: Int
  private var tails: [Int]

  init(pairCount: Int) throws {
    self.pairCount = pairCount
    tails = Array(repeating: 0, count: pairCount + 1)
    bench = try DeviceBench()
    let bar = PCIBAR(index: 0, byteCount: 0x4000, is64Bit: true)
    var space = PCIConfigurationSpace(
      identity: PCIIdentity(
        vendor: NVMeIdentity.vendor, device: NVMeIdentity.device, classCode: 0x01_0802),
      interruptPin: 1)
    space.addBAR(bar)
    space.addMSIX(
      vectorCount: pairCount + 1, bar: bar, tableOffset: 0x2000, pendingOffset: 0x3000)
    capability = space.msix?.capability ?? 0
    space.addPowerManagement()
    space.addExpressEndpoint()
    deviceControl = (space.express ?? 0) + 8
    endpoint = PCIEndpoint(space, context: bench.context)
    configuration = endpoint.configuration
    engine = NVMeEngine(
      endpoint: endpoint, store: store,
      identify: NVMeIdentify(identity: NVMeIdentity(serial: "fuzz"), store: store),
      history: NVMeHistory { 0 }, pairCount: pairCount)
  }

  /// A machine that is new, and a driver that has made all its queues.
  func powerOn() {
    engine.reset()
    endpoint.reset()
    store.fails = false
    // What waits from before a reset finds no queue.
    engine.serveWaitingQueues()
    bench.clear()
    tails = tails.map { _ in 0 }

    configure(command: 6, messageControl: 0x8000, vector: 0, isMasked: false)
    let size = UInt64(Self.entryCount - 1)
    engine.write(offset: 0x24, width: 4, value: size << 16 | size)
    engine.write(offset: 0x28, width: 8, value: Self.adminSubmission)
    engine.write(offset: 0x30, width: 8, value: Self.adminCompletion)
    engine.write(offset: 0x14, width: 4, value: 0x46_0001)
    for queue in 1...pairCount {
      let place = UInt64(1 + queue) << 13
      create(.createCompletionQueue, queue, at: place + 0x1000, UInt32(queue) << 16 | 3)
      create(.createSubmissionQueue, queue, at: place, UInt32(queue) << 16 | 1)
    }
    engine.serveWaitingQueues()
    acknowledge(0)
    let queueCount = engine.state.withLock { $0.queues.submission.count { $0 != nil } }
    require(queueCount == pairCount + 1, "\(queueCount) queues after the start")
  }

  /// The guest resets the function, maybe while commands are at the disk.
  func functionLevelReset() {
    configuration.write(offset: deviceControl, width: 2, value: 0x8000)
    // Not a second time before the first has ended.
    guard configuration.beginFunctionReset() else { return }
    endpoint.functionResetBegan()
    engine.functionLevelReset()
  }

  private func create(
    _ opcode: NVMeAdminOpcode, _ queue: Int, at address: UInt64, _ dword11: UInt32
  ) {
    var command = NVMeCommand()
    command.opcode = opcode.rawValue
    command.prp1 = address
    command.dwords[0] = UInt32(Self.entryCount - 1) << 16 | UInt32(queue)
    command.dwords[1] = dword11
    enqueue(command, 0, rings: true)
  }

  // MARK: The driver

  func enqueue(_ command: NVMeCommand, _ queue: Int, rings: Bool) {
    let start = queue == 0 ? Self.adminSubmission : UInt64(1 + queue) << 13
    write(command.bytes, at: start + UInt64(tails[queue] * NVMeCommand.byteCount))
    tails[queue] = (tails[queue] + 1) % Self.entryCount
    // With shadow doorbells a driver writes there, whether it rings or not.
    setShadow(.tail, queue, UInt32(tails[queue]))
    if rings { ring(2 * queue, UInt32(tails[queue])) }
  }

  /// Writes a doorbell.
  func ring(_ number: Int, _ value: UInt32) {
    engine.write(offset: 0x1000 + 4 * UInt64(number), width: 4, value: UInt64(value))
  }

  /// Takes all completions of a queue.
  func acknowledge(_ queue: Int) {
    let tail = engine.state.withLock { $0.queues.completion[queue]?.tail }
    guard let tail else { return }
    setShadow(.head, queue, tail)
    ring(2 * queue + 1, tail)
  }

  /// Writes a shadow doorbell, if the guest has them: the register then tells nothing.
  func setShadow(_ kind: NVMeShadowDoorbells.Kind, _ queue: Int, _ value: UInt32) {
    let shadows = engine.state.withLock { $0.queues.shadows }
    if queue > 0 { shadows?.setValue(value, kind, of: queue, in: memory) }
  }

  /// How long a queue's commands are handed over before one thread serves it alone.
  func setPollHoldOff(_ count: Int) {
    engine.state.withLock { state in
      for queue in state.queues.submission.indices {
        state.queues.submission[queue]?.pollHoldOff = count
      }
    }
  }

  /// Changes guest memory as the guest does; what is not RAM takes nothing.
  func write(_ bytes: [UInt8], at address: UInt64) {
    try? memory.write(bytes, at: GPA(address))
  }

  func configure(command: UInt64, messageControl: UInt64, vector: UInt64, isMasked: Bool) {
    configuration.write(offset: PCIRegister.command, width: 2, value: command)
    configuration.write(offset: capability + 2, width: 2, value: messageControl)
    let mask: UInt64 = isMasked ? 1 : 0
    _ = endpoint.writeBAR(0, offset: 0x2000 + vector * 16 + 12, width: 4, value: mask)
    endpoint.configurationChanged()
    engine.configurationChanged()
  }

  // MARK: What must be so

  /// Whenever no command runs, none is in flight and no room is promised, and a reset has ended.
  func checkRest() {
    let vendor = configuration.read(offset: 0, width: 2)
    require(vendor == UInt64(NVMeIdentity.vendor), "vendor \(vendor) at rest")
    engine.state.withLock { state in
      require(state.inFlightCount == 0, "\(state.inFlightCount) commands in flight at rest")
      require(!state.isStopping, "stopping at rest")
      for ring in state.queues.submission {
        require(ring.map { $0.inFlightCount == 0 && $0.deletion == nil } ?? true, "\(ring!)")
        require(ring?.isPolled != true, "\(ring!) at rest")
      }
      for ring in state.queues.completion {
        require(ring?.promisedCount ?? 0 == 0, "\(String(describing: ring))")
      }
    }
  }

  /// Heads and tails are places in their rings, and no ring is promised more than it has.
  func checkRings() {
    engine.state.withLock { state in
      for case let ring? in state.queues.submission {
        require(ring.head < ring.count && ring.tail < ring.count, "\(ring)")
        require(ring.inFlightCount >= 0, "\(ring)")
      }
      for case let ring? in state.queues.completion {
        require(ring.head < ring.count && ring.tail < ring.count, "\(ring)")
        require(ring.eventIndex.map { $0 < ring.count } ?? true, "\(ring)")
        require(ring.occupiedCount + ring.promisedCount < ring.count, "\(ring)")
      }
    }
  }
}
