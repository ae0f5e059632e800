internal import Devices
public import GuestMemory
internal import HostSystem
internal import ZeroTracker

/// Adds memory to a machine that runs: a piece of what its layout leaves for that, with a slot of
/// KVM, and tracked from its first page.
///
/// Any thread whose role has the calls: that of VMBus, and those without a filter.
final class MemoryGrowth: GuestMemoryGrowth {
  private struct State {
    /// Made after the devices, before the guest runs.
    var slots: TrackedSlots?
    /// How many do not want memory to change.
    var holderCount = 0
  }

  private let memory: GuestMemory
  /// Its lock is held while memory is added.
  private let state = Guarded(State())

  init(_ memory: GuestMemory) {
    self.memory = memory
  }

  func connect(_ slots: TrackedSlots) {
    state.withLock { $0.slots = slots }
  }

  /// Adds nothing more until `release`, while the machine is saved or moves: what was added by now
  /// is all there will be.
  func hold() { state.withLock { $0.holderCount += 1 } }

  /// Ends what `hold` began.
  func release() { state.withLock { $0.holderCount -= 1 } }

  var stepByteCount: UInt64 { memory.layout.growthStep }

  var leftByteCount: UInt64 {
    (memory.layout.growth?.byteCount ?? 0) - memory.addedByteCount
  }

  var addedPages: Range<UInt64> { memory.addedPages }

  /// - Returns: nil if there is no room for it, or it is held.
  func add(_ byteCount: UInt64) throws(MachineError) -> MappedRegion? {
    try state.withLock { (state) throws(MachineError) in
      guard state.holderCount == 0, let slots = state.slots else { return nil }
      return try memory.grow(by: byteCount) { (piece) throws(MachineError) in
        try slots.add(piece)
      }
    }
  }

  func grow(by byteCount: UInt64) -> Range<UInt64>? {
    guard let piece = try? add(byteCount) else { return nil }
    let first = piece.start.page.rawValue
    return first..<first + piece.byteCount / 4096
  }
}

extension Machine {
  /// Adds the next `byteCount` bytes of `MachineConfiguration.growthByteCount` to the guest's
  /// memory: zero, tracked, and reportable. The guest learns nothing of it by this alone.
  ///
  /// Any thread but a vCPU's, before the run and during it.
  ///
  /// - Returns: the first byte's address.
  /// - Throws: `.configuration` if there is no room for it, it is not a multiple of 128 MiB, or the
  ///   machine is being saved or moved; what the host says.
  public func addMemory(byteCount: UInt64) throws(MachineError) -> GPA {
    guard let piece = try growth.add(byteCount) else {
      throw .configuration(
        "\(byteCount) bytes of memory more: give a multiple of 128 MiB, at most "
          + "\(growth.leftByteCount) bytes, and not while the machine is saved or moves")
    }
    return piece.start
  }
}
