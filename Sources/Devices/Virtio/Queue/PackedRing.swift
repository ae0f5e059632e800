internal import DeviceKit
internal import GuestMemory
internal import Synchronization

/// A packed virtqueue (virtio 1.2 §2.8), the device's side.
///
/// As with a split one, faults end it, and the work for one request is bounded by its size.
struct PackedRing: Sendable {
  /// A place in the ring, with the lap's wrap counter.
  private struct Place {
    var index: UInt16 = 0
    var wrap = true

    mutating func advance(_ count: UInt16, size: UInt16) {
      let next = UInt32(index) + UInt32(count)
      guard next >= UInt32(size) else {
        index = UInt16(next)
        return
      }
      index = UInt16(next - UInt32(size))
      wrap.toggle()
    }
  }

  /// *RING_EVENT_FLAGS_…* of the event suppression areas.
  private enum EventFlags {
    static let enable: UInt32 = 0
    static let disable: UInt32 = 1
    static let descriptor: UInt32 = 2
  }

  let layout: VirtqueueLayout
  /// Where the next request is, and where the next answer goes.
  private var next = Place()
  private var used = Place()
  /// The first answer that the driver has not been shown: its flags are written last.
  private var first: (index: UInt16, flags: VirtqueueDescriptor.Flags)?
  /// Entries of the answers that it has not been shown.
  private var unpublishedCount: UInt32 = 0

  /// - Parameter memory: nil not to look whether all of it is RAM.
  init(_ layout: VirtqueueLayout, _ memory: GuestMemory?) throws(VirtqueueFault) {
    let size = Int(layout.size)
    try layout.check(
      size: (1...1 << 15).contains(size),
      [(layout.descriptors, 16, 16 * size), (layout.driver, 4, 4), (layout.device, 4, 4)], memory)
    self.layout = layout
  }

  // MARK: Requests

  mutating func take(
    _ chain: inout VirtioChain, _ memory: GuestMemory
  ) throws(VirtqueueFault) -> Bool {
    guard try hasMore(memory) else { return false }
    chain.clear()
    var place = next
    var entryCount: UInt16 = 0
    while true {
      guard entryCount < layout.size else { throw .tooLong }
      let descriptor = try VirtqueueDescriptor(
        Int(place.index), of: layout.descriptors, isPacked: true, memory)
      place.advance(1, size: layout.size)
      entryCount += 1
      if descriptor.flags.contains(.indirect) {
        try follow(
          descriptor, isAlone: entryCount == 1 && !descriptor.flags.contains(.next), &chain, memory)
      } else {
        try chain.append(descriptor, limit: Int(layout.size), memory)
      }
      guard descriptor.flags.contains(.next) else {
        chain.identifier = descriptor.link
        break
      }
    }
    chain.entryCount = entryCount
    next = place
    return true
  }

  /// Takes the buffers of a table, in its order: its entries have no links.
  private func follow(
    _ descriptor: VirtqueueDescriptor, isAlone: Bool, _ chain: inout VirtioChain,
    _ memory: GuestMemory
  ) throws(VirtqueueFault) {
    let count = try descriptor.tableEntryCount(
      isAllowed: layout.hasIndirectDescriptors && isAlone)
    guard count <= Int(layout.size) else { throw .tooLong }
    for index in 0..<count {
      let entry = try VirtqueueDescriptor(
        index, of: GPA(descriptor.address), isPacked: true, memory)
      guard !entry.flags.contains(.indirect) else { throw .badTable }
      try chain.append(entry, limit: Int(layout.size), memory)
    }
  }

  private func hasMore(_ memory: GuestMemory) throws(VirtqueueFault) -> Bool {
    let flags = VirtqueueDescriptor.Flags(
      rawValue: try memory.ringField(
        layout.descriptors, VirtqueueDescriptor.entryByteCount * Int(next.index) + 14))
    // The rest of the descriptor was written before its flags, and is read after them.
    atomicMemoryFence(ordering: .acquiring)
    return flags.contains(.available) == next.wrap && flags.contains(.used) != next.wrap
  }

  // MARK: Answers

  mutating func put(
    _ chain: borrowing VirtioChain, byteCount: UInt32, _ memory: GuestMemory
  ) throws(VirtqueueFault) {
    let place = VirtqueueDescriptor.entryByteCount * Int(used.index)
    try memory.setRingField(byteCount, layout.descriptors, place + 8)
    try memory.setRingField(chain.identifier, layout.descriptors, place + 12)
    var flags: VirtqueueDescriptor.Flags = used.wrap ? [.available, .used] : []
    if byteCount > 0 { flags.insert(.write) }
    if first == nil {
      first = (used.index, flags)
    } else {
      try setFlags(flags, used.index, memory)
    }
    used.advance(chain.entryCount, size: layout.size)
    unpublishedCount += UInt32(chain.entryCount)
  }

  private func setFlags(
    _ flags: VirtqueueDescriptor.Flags, _ index: UInt16, _ memory: GuestMemory
  ) throws(VirtqueueFault) {
    try memory.setRingField(
      flags.rawValue, layout.descriptors,
      VirtqueueDescriptor.entryByteCount * Int(index) + 14)
  }

  /// Shows the driver the answers since the last time: with the first one it sees them all.
  ///
  /// - Returns: whether it wants an interrupt.
  mutating func publish(_ memory: GuestMemory) throws(VirtqueueFault) -> Bool {
    guard let first else { return false }
    try setFlags(first.flags, first.index, memory)
    let count = unpublishedCount
    (self.first, unpublishedCount) = (nil, 0)
    // As with a split ring: each side writes, then looks at the other's.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    let event: UInt32 = try memory.ringField(layout.driver, 0)
    switch event >> 16 & 3 {
    case EventFlags.disable: return false
    case EventFlags.descriptor where layout.hasEventIndex: break
    default: return true
    }
    // How far back the driver's place is, in its lap or the one before.
    let place = Int(event & 0x7FFF)
    let isThisLap = (event >> 15 & 1 == 1) == used.wrap
    let distance = Int(used.index) - (isThisLap ? place : place - Int(layout.size))
    return distance > 0 && distance <= Int(count)
  }

  // MARK: Notifications

  func disarm(_ memory: GuestMemory) throws(VirtqueueFault) {
    if !layout.hasEventIndex {
      try memory.setRingField(EventFlags.disable << 16, layout.device, 0)
    }
  }

  /// Asks the driver to notify the next request.
  ///
  /// - Returns: whether there is one already.
  func arm(_ memory: GuestMemory) throws(VirtqueueFault) -> Bool {
    let place = UInt32(next.index) | (next.wrap ? 1 << 15 : 0)
    try memory.setRingField(
      layout.hasEventIndex ? place | EventFlags.descriptor << 16 : EventFlags.enable,
      layout.device, 0)
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    return try hasMore(memory)
  }
}

extension PackedRing {
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    let last = layout.size - 1
    try transfer.integer(&next.index, in: 0...last)
    try transfer.flag(&next.wrap)
    try transfer.integer(&used.index, in: 0...last)
    try transfer.flag(&used.wrap)
  }
}
