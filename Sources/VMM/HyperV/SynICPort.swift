internal import Bytes
internal import DeviceKit
internal import Devices
internal import GuestMemory
internal import HostSystem
internal import HyperVCore
internal import KVM
internal import Synchronization

/// Messages and events of VMBus for the SynICs of a machine's vCPUs, which are KVM's.
///
/// KVM writes the same message slots, for synthetic timers, on the vCPU's thread when it enters the
/// guest. So a message is put into its slot by that thread too, while it is out of KVM_RUN; others
/// queue it and kick the vCPU. When a slot is not free the guest says at the end of that message
/// that it is now, and KVM tells by an eventfd. Event flags are VMBus' alone, and set by any
/// thread.
///
/// Any thread. Source: TLFS, Inter-Partition Communication, SynIC Message and Event Flags.
final class SynICPort: VMBusPort {
  /// One vCPU's.
  final class Processor: Sendable {
    fileprivate let mail = Atomic(false)
    /// SIMP and SIEFP, as the guest wrote them.
    fileprivate let messagePage = Atomic<UInt64>(0)
    fileprivate let eventPage = Atomic<UInt64>(0)

    /// Whether its thread has to look into the queue (`deliver(to:)`). An object of its own, so
    /// that the look before each entry counts no references.
    @inline(__always) var hasMail: Bool { mail.load(ordering: .acquiring) }
  }

  private struct Message: Sendable {
    var vp: UInt32
    var bytes: [UInt8]
  }

  /// What a try to fill a slot came to.
  enum Delivery: Equatable {
    case done
    /// The slot is taken; the guest will say when it is not.
    case isBusy
    /// There is no page: the guest is not listening, and the message is lost.
    case isLost
  }

  private static let slotByteCount: UInt64 = 256
  /// What a slot has room for.
  private static let maximumMessageByteCount = 240
  /// Of messages that wait: more than a guest can bring about.
  private static let maximumCount = 4096
  /// Behind the I/O APIC's inputs.
  private static let firstInterrupt: UInt32 = 24

  private let memory: GuestMemory
  private let machine: VirtualMachine
  private let source: UInt32
  private let processors: [Processor]
  private let queue = Guarded<[Message]>([])
  private let kickers = Guarded<[VCPUKicker]>([])
  /// What could raise the interrupts, one each: KVM wants them for telling of their ends.
  private let triggers: [Doorbell]

  /// - Parameter source: the synthetic interrupt source of messages and events.
  init(
    vcpuCount: Int, source: UInt32, memory: GuestMemory, machine: VirtualMachine
  ) throws(MachineError) {
    self.memory = memory
    self.machine = machine
    self.source = source
    processors = (0..<vcpuCount).map { _ in Processor() }
    var triggers: [Doorbell] = []
    do throws(Errno) {
      for _ in 0..<vcpuCount { triggers.append(try Doorbell()) }
    } catch {
      throw .unavailable(
        what: "no events for VMBus: \(error)", cure: "raise the limit of open files (ulimit -n)")
    }
    self.triggers = triggers
  }

  /// Ties it to the vCPUs, whose SynICs are on.
  ///
  /// - Parameters:
  ///   - bus: what the guest's signals, and the ends of its messages, wake.
  func connect(_ kickers: [VCPUKicker], to bus: VMBusHost) throws(KVMError) {
    self.kickers.withLock { $0 = kickers }
    let routes = processors.indices.map { index in
      SyntheticInterruptRoute(
        interrupt: interrupt(of: UInt32(index)), vcpu: UInt32(index), source: source)
    }
    try machine.setInterruptRoutes(InterruptRoute.personalComputer, synthetic: routes)
    for (route, trigger) in zip(routes, triggers) {
      try machine.watchInterrupt(
        route.interrupt, trigger: trigger.descriptor, resample: bus.doorbellDescriptor)
    }
    for connection in bus.eventConnections {
      try machine.takeEvents(ofConnection: connection, by: bus.doorbellDescriptor)
    }
  }

  private func interrupt(of vp: UInt32) -> UInt32 { Self.firstInterrupt + vp }

  // MARK: The vCPUs' threads

  /// The guest wrote one of the registers.
  func setPages(of vp: UInt32, eventPage: UInt64, messagePage: UInt64) {
    let processor = processors[Int(vp)]
    processor.eventPage.store(eventPage, ordering: .releasing)
    processor.messagePage.store(messagePage, ordering: .releasing)
  }

  func processor(_ vp: UInt32) -> Processor { processors[Int(vp)] }

  /// Delivers what waits for a vCPU, if it has mail. On its thread, out of KVM_RUN, before an
  /// entry.
  @inline(never)
  func deliver(to vp: UInt32) {
    let processor = processors[Int(vp)]
    // Before the look: what is queued afterwards sets it again.
    processor.mail.store(false, ordering: .sequentiallyConsistent)
    let page = OverlayPageMSR(
      rawValue: processor.messagePage.load(ordering: .acquiring)
    ).enabledPage
    let isInterrupting = queue.withLock { queue in
      var isInterrupting = false
      // One slot: at most one message fits, and those that are lost go at once.
      while let index = queue.firstIndex(where: { $0.vp == vp }) {
        let outcome = Self.deliver(queue[index].bytes, toPage: page, source: source, in: memory)
        if outcome != .isBusy { queue.remove(at: index) }
        if outcome == .done { isInterrupting = true }
        if outcome == .isBusy { break }
      }
      return isInterrupting
    }
    // A source that the guest has masked takes none, and it looks at its slots by itself.
    if isInterrupting { try? machine.setInterrupt(interrupt(of: vp), isAsserted: true) }
  }

  /// Puts a message into a slot, unless that is taken.
  ///
  /// - Parameter page: GPN of the message page.
  static func deliver(
    _ message: [UInt8], toPage page: UInt64?, source: UInt32, in memory: GuestMemory
  ) -> Delivery {
    guard let page, page < 1 << 52 else { return .isLost }
    let slot = page << 12 + UInt64(source) * slotByteCount
    do throws(GuestMemoryError) {
      if try memory.load(at: GPA(slot), as: UInt32.self) != 0 {
        // *MessagePending*: the guest is to write *end of message*.
        try memory.store(1 as UInt8, at: GPA(slot + 5))
        // The guest empties the slot, then looks at the flag; here it is the other way round, and
        // at least one of the two sees the other.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        guard try memory.load(at: GPA(slot), as: UInt32.self) == 0 else { return .isBusy }
      }
      // Length, flags, two bytes that are reserved, and who sends it: nobody with a number.
      var header: [UInt8] = [UInt8(message.count), 0, 0, 0]
      header += [UInt8](repeating: 0, count: 8)
      try memory.write(header + message, at: GPA(slot + 4))
      // The type at last: it makes the message valid.
      try memory.store(1 as UInt32, at: GPA(slot))
      return .done
    } catch {
      return .isLost
    }
  }

  // MARK: The bus

  var waitingMessageCount: Int { queue.withLock(\.count) }

  func send(_ message: [UInt8], to vp: UInt32) {
    queue.withLock { $0.append(Message(vp: vp, bytes: message)) }
    wake(vp)
  }

  func dropMessages() {
    queue.withLock { $0 = [] }
  }

  func retryMessages() {
    for vp in Set(queue.withLock { $0.map(\.vp) }) { wake(vp) }
  }

  /// The messages that wait. Where the guest listens is among its vCPUs' registers.
  func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try queue.withLock { queue throws(StateError) in
      try transfer.elements(&queue, maximumCount: Self.maximumCount, new: Message(vp: 0, bytes: []))
      { (transfer, message) throws(StateError) in
        try transfer.integer(&message.vp, in: 0...UInt32(processors.count - 1))
        try transfer.bytes(&message.bytes, maximumCount: Self.maximumMessageByteCount)
      }
    }
    if transfer.isRestoring { retryMessages() }
  }

  private func wake(_ vp: UInt32) {
    processors[Int(vp)].mail.store(true, ordering: .sequentiallyConsistent)
    // After the mark: a vCPU that misses the kick sees it.
    kickers.withLock { kickers in
      if kickers.indices.contains(Int(vp)) { kickers[Int(vp)].kick() }
    }
  }

  func setEvent(_ flag: UInt32, of vp: UInt32) {
    let page = OverlayPageMSR(
      rawValue: processors[Int(vp)].eventPage.load(ordering: .acquiring)
    ).enabledPage
    guard let page, page < 1 << 52 else { return }
    let word = page << 12 + UInt64(source) * Self.slotByteCount + UInt64(flag / 64) * 8
    let bit = UInt64(1) << UInt64(flag % 64)
    guard let old = try? memory.setBits(bit, at: GPA(word)), old & bit == 0 else { return }
    try? machine.setInterrupt(interrupt(of: vp), isAsserted: true)
  }
}
