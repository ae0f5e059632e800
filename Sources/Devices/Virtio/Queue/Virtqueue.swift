internal import DeviceKit
package import GuestMemory

/// A virtqueue, split or packed, the device's side: requests out, answers in. A value without a
/// lock, and without PCI.
///
/// All that is read is the driver's choice. Whatever it is, the work and the memory for a request
/// are bounded by the ring's size, and a fault is thrown for what no driver may do; the queue is of
/// no use after it.
package struct Virtqueue: Sendable {
  private enum Ring: Sendable {
    case split(SplitRing)
    case packed(PackedRing)
  }

  private var ring: Ring

  /// A queue as its driver has laid it out.
  init(
    _ layout: VirtqueueLayout, isPacked: Bool, _ memory: GuestMemory
  ) throws(VirtqueueFault) {
    ring =
      isPacked ? .packed(try PackedRing(layout, memory)) : .split(try SplitRing(layout, memory))
  }

  /// Takes the next request.
  ///
  /// - Returns: false if there is none; `chain` is as it was then.
  package mutating func take(
    _ chain: inout VirtioChain, _ memory: GuestMemory
  ) throws(VirtqueueFault) -> Bool {
    switch ring {
    case .split(var split):
      defer { ring = .split(split) }
      return try split.take(&chain, memory)
    case .packed(var packed):
      defer { ring = .packed(packed) }
      return try packed.take(&chain, memory)
    }
  }

  /// Answers a request, in the order in which they were taken. The driver sees it after `publish`.
  ///
  /// - Parameter byteCount: what was written of the chain's buffers, from their beginning.
  package mutating func put(
    _ chain: borrowing VirtioChain, byteCount: Int, _ memory: GuestMemory
  ) throws(VirtqueueFault) {
    let byteCount = UInt32(clamping: byteCount)
    switch ring {
    case .split(var split):
      defer { ring = .split(split) }
      try split.put(chain, byteCount: byteCount, memory)
    case .packed(var packed):
      defer { ring = .packed(packed) }
      try packed.put(chain, byteCount: byteCount, memory)
    }
  }

  /// Shows the driver all answers at once. `VirtioQueue` does it.
  ///
  /// - Returns: whether the driver wants an interrupt.
  mutating func publish(_ memory: GuestMemory) throws(VirtqueueFault) -> Bool {
    switch ring {
    case .split(var split):
      defer { ring = .split(split) }
      return try split.publish(memory)
    case .packed(var packed):
      defer { ring = .packed(packed) }
      return try packed.publish(memory)
    }
  }

  /// The driver need not notify: the device looks for requests by itself.
  package func disarm(_ memory: GuestMemory) throws(VirtqueueFault) {
    switch ring {
    case .split(let split): try split.disarm(memory)
    case .packed(let packed): try packed.disarm(memory)
    }
  }

  /// Asks the driver to notify the next request.
  ///
  /// - Returns: whether there is one already, of which no notification comes.
  package mutating func arm(_ memory: GuestMemory) throws(VirtqueueFault) -> Bool {
    switch ring {
    case .split(var split):
      defer { ring = .split(split) }
      return try split.arm(memory)
    case .packed(let packed):
      return try packed.arm(memory)
    }
  }
}

// Between two holdings of the queue's lock: all answers were shown.
extension Virtqueue {
  /// A queue that was laid out before; nil if no driver could have. Whether it is all RAM shows
  /// when it is used.
  init?(restoring layout: VirtqueueLayout, isPacked: Bool) {
    do throws(VirtqueueFault) {
      if isPacked {
        ring = .packed(try PackedRing(layout, nil))
      } else {
        ring = .split(try SplitRing(layout, nil))
      }
    } catch {
      return nil
    }
  }

  var entryCount: UInt16 {
    switch ring {
    case .split(let split): split.layout.size
    case .packed(let packed): packed.layout.size
    }
  }

  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    switch ring {
    case .split(var split):
      defer { ring = .split(split) }
      try split.transfer(&transfer)
    case .packed(var packed):
      defer { ring = .packed(packed) }
      try packed.transfer(&transfer)
    }
  }
}
