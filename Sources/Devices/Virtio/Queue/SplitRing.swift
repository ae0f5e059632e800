internal import DeviceKit
internal import GuestMemory
internal import Synchronization

/// A split virtqueue (virtio 1.2 §2.7), the device's side.
///
/// A loop of descriptors, a chain out of RAM, an index outside the ring are faults; the work for
/// one request is bounded by the ring's size.
struct SplitRing: Sendable {
  let layout: VirtqueueLayout
  /// The next entry of the available ring.
  private var availableIndex: UInt16 = 0
  /// *idx* of the available ring when it was last read.
  private var knownIndex: UInt16 = 0
  /// The next entry of the used ring, and how far the driver has been shown it.
  private var usedIndex: UInt16 = 0
  private var publishedIndex: UInt16 = 0

  /// *VIRTQ_USED_F_NO_NOTIFY*, *VIRTQ_AVAIL_F_NO_INTERRUPT*.
  private static let silent: UInt16 = 1

  /// - Parameter memory: nil not to look whether all of it is RAM.
  init(_ layout: VirtqueueLayout, _ memory: GuestMemory?) throws(VirtqueueFault) {
    let size = Int(layout.size)
    try layout.check(
      size: size.nonzeroBitCount == 1 && size <= 1 << 15,
      [
        (layout.descriptors, 16, 16 * size), (layout.driver, 2, 6 + 2 * size),
        (layout.device, 4, 6 + 8 * size),
      ], memory)
    self.layout = layout
  }

  // MARK: Requests

  mutating func take(
    _ chain: inout VirtioChain, _ memory: GuestMemory
  ) throws(VirtqueueFault) -> Bool {
    guard try hasMore(memory) else { return false }
    let place = 4 + 2 * Int(availableIndex % layout.size)
    let head: UInt16 = try memory.ringField(layout.driver, place)
    chain.clear()
    chain.identifier = head
    try follow(head, &chain, memory)
    availableIndex &+= 1
    return true
  }

  private mutating func hasMore(_ memory: GuestMemory) throws(VirtqueueFault) -> Bool {
    if knownIndex != availableIndex { return true }
    knownIndex = try memory.ringField(layout.driver, 2)
    guard knownIndex &- availableIndex <= layout.size else { throw .overrun }
    // The entries were written before the index, and are read after it.
    atomicMemoryFence(ordering: .acquiring)
    return knownIndex != availableIndex
  }

  private func follow(
    _ head: UInt16, _ chain: inout VirtioChain, _ memory: GuestMemory
  ) throws(VirtqueueFault) {
    let limit = Int(layout.size)
    var (table, count, index) = (layout.descriptors, limit, Int(head))
    var isDirect = true
    while true {
      guard index < count else { throw .badIndex }
      let descriptor = try VirtqueueDescriptor(index, of: table, isPacked: false, memory)
      if descriptor.flags.contains(.indirect) {
        // Buffers before it are allowed (§2.7.5.3.1), none behind it.
        count = try descriptor.tableEntryCount(
          isAllowed: layout.hasIndirectDescriptors && isDirect
            && !descriptor.flags.contains(.next))
        (table, index, isDirect) = (GPA(descriptor.address), 0, false)
        continue
      }
      try chain.append(descriptor, limit: limit, memory)
      guard descriptor.flags.contains(.next) else { return }
      index = Int(descriptor.link)
    }
  }

  // MARK: Answers

  mutating func put(
    _ chain: borrowing VirtioChain, byteCount: UInt32, _ memory: GuestMemory
  ) throws(VirtqueueFault) {
    let entry = UInt64(chain.identifier) | UInt64(byteCount) << 32
    try memory.setRingField(entry, layout.device, 4 + 8 * Int(usedIndex % layout.size))
    usedIndex &+= 1
  }

  /// Shows the driver the answers since the last time.
  ///
  /// - Returns: whether it wants an interrupt.
  mutating func publish(_ memory: GuestMemory) throws(VirtqueueFault) -> Bool {
    guard usedIndex != publishedIndex else { return false }
    let old = publishedIndex
    try memory.setRingField(usedIndex, layout.device, 2)
    publishedIndex = usedIndex
    // The driver sets what it wants, then looks at the index: here it is the other way round, and
    // at least one of the two sees the other.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    guard layout.hasEventIndex else {
      let flags: UInt16 = try memory.ringField(layout.driver, 0)
      return flags & Self.silent == 0
    }
    let event: UInt16 = try memory.ringField(layout.driver, 4 + 2 * Int(layout.size))
    return usedIndex &- event &- 1 < usedIndex &- old
  }

  // MARK: Notifications

  /// The driver need not notify; with the event index it does not until `arm`.
  func disarm(_ memory: GuestMemory) throws(VirtqueueFault) {
    if !layout.hasEventIndex { try memory.setRingField(Self.silent, layout.device, 0) }
  }

  /// Asks the driver to notify the next request.
  ///
  /// - Returns: whether there is one already.
  mutating func arm(_ memory: GuestMemory) throws(VirtqueueFault) -> Bool {
    if layout.hasEventIndex {
      try memory.setRingField(availableIndex, layout.device, 4 + 8 * Int(layout.size))
    } else {
      try memory.setRingField(UInt16(0), layout.device, 0)
    }
    // As in `publish`.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    return try hasMore(memory)
  }
}

extension SplitRing {
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.integer(&availableIndex)
    try transfer.integer(&knownIndex)
    try transfer.check(
      knownIndex &- availableIndex <= layout.size,
      "\(knownIndex &- availableIndex) requests in a ring of \(layout.size)")
    try transfer.integer(&usedIndex)
    publishedIndex = usedIndex
  }
}
