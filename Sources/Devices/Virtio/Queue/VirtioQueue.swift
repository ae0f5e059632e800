internal import DeviceKit
package import GuestMemory
internal import HostSystem

/// A queue of a virtio device: there from *DRIVER_OK* to the reset. Any thread.
///
/// Its lock is held for a few requests at a time, and for no back-end: a vCPU that resets the
/// device waits for it, and after that nothing is read, written or discarded for the driver of
/// before.
///
/// Lock order: the transport's, a queue's, `VirtioSignals`', the endpoint's.
package final class VirtioQueue: Sendable {
  private let index: Int
  private let signals: VirtioSignals
  private let queue = Guarded<Virtqueue?>(nil)

  init(_ index: Int, _ signals: VirtioSignals) {
    self.index = index
    self.signals = signals
  }

  /// Works on the queue, then shows the driver all answers and interrupts if it wants that.
  ///
  /// A fault, thrown or found then, ends the queue, and the device needs a reset.
  ///
  /// - Returns: what `body` returns; nil after a fault, or without calling it if there is no queue
  ///   now or memory is out of reach.
  package func work<R: Sendable>(
    _ body: (inout Virtqueue, GuestMemory) throws(VirtqueueFault) -> R
  ) -> R? {
    queue.withLock { queue in
      guard queue != nil, let memory = signals.endpoint.memory else { return nil }
      do throws(VirtqueueFault) {
        return try run(&queue!, memory, body)
      } catch {
        queue = nil
        signals.announceFault()
        return nil
      }
    }
  }

  private func run<R>(
    _ queue: inout Virtqueue, _ memory: GuestMemory,
    _ body: (inout Virtqueue, GuestMemory) throws(VirtqueueFault) -> R
  ) throws(VirtqueueFault) -> R {
    let result = try body(&queue, memory)
    if try queue.publish(memory) { signals.signal(index) }
    return result
  }

  /// Whether there is a queue to work on.
  package var isLive: Bool { queue.withLock { $0 != nil } }

  /// The driver has laid it out; a layout that cannot be is a fault.
  func begin(_ layout: VirtqueueLayout, isPacked: Bool) {
    queue.withLock { queue in
      do throws(VirtqueueFault) {
        guard let memory = signals.endpoint.memory else { throw .notRAM }
        queue = try Virtqueue(layout, isPacked: isPacked, memory)
      } catch {
        queue = nil
        signals.announceFault()
      }
    }
  }

  /// Ends it: guest memory is left alone when this returns.
  func end() {
    queue.withLock { $0 = nil }
  }
}

extension VirtioQueue {
  /// Entries of its ring; 0 if there is no queue now.
  var entryCount: UInt16 { queue.withLock { $0?.entryCount ?? 0 } }

  /// Saves or restores it, while nothing works on it.
  ///
  /// - Parameters:
  ///   - layout: by its registers.
  ///   - mayBeLive: whether the driver has enabled it.
  func transfer(
    _ transfer: inout StateTransfer, _ layout: VirtqueueLayout, isPacked: Bool, mayBeLive: Bool
  ) throws(StateError) {
    try queue.withLock { queue throws(StateError) in
      var isLive = queue != nil
      try transfer.flag(&isLive)
      try transfer.check(mayBeLive || !isLive, "a queue that was not enabled")
      guard isLive else {
        queue = nil
        return
      }
      if transfer.isRestoring {
        guard let new = Virtqueue(restoring: layout, isPacked: isPacked) else {
          throw .invalid("a queue of \(layout.size) at \(layout.descriptors)")
        }
        queue = new
      }
      try queue?.transfer(&transfer)
    }
  }
}
