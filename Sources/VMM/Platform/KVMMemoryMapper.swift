internal import DeviceKit
internal import GuestMemory
internal import KVM
internal import Synchronization

/// Gives out the numbers of a machine's memory slots: RAM, flash and device memory all have some.
final class MemorySlotNumbers: Sendable {
  private struct State {
    var next: UInt32 = 0
    var returned: [UInt32] = []
  }

  private let state = Mutex(State())

  /// A number that nothing else has.
  func take() -> UInt32 {
    state.withLock { state in
      if let number = state.returned.popLast() { return number }
      defer { state.next += 1 }
      return state.next
    }
  }

  /// Takes a number back whose slot is gone.
  func giveBack(_ number: UInt32) {
    state.withLock { $0.returned.append(number) }
  }
}

/// Device memory in the guest's address space, by memory slots of KVM.
final class KVMMemoryMapper: MemoryMapper {
  private let machine: VirtualMachine
  private let numbers: MemorySlotNumbers
  private let window: Range<UInt64>

  /// - Parameter window: where memory may be mapped: nothing else has slots there.
  init(_ machine: VirtualMachine, numbers: MemorySlotNumbers, window: Range<UInt64>) {
    self.machine = machine
    self.numbers = numbers
    self.window = window
  }

  func map(
    _ memory: DeviceMemory, at address: UInt64, logsWrites: Bool
  ) -> (any MemoryMapping)? {
    // In this order nothing overflows.
    guard window.contains(address), UInt64(memory.byteCount) <= window.upperBound - address else {
      return nil
    }
    let slot = MemorySlot(
      number: numbers.take(), guestPhysicalAddress: address, byteCount: UInt64(memory.byteCount),
      hostAddress: memory.hostAddress)
    do {
      try machine.setMemorySlot(slot, options: logsWrites ? .logsDirtyPages : [])
    } catch {
      numbers.giveBack(slot.number)
      return nil
    }
    return KVMMemoryMapping(machine, numbers: numbers, slot: slot, memory: memory)
  }
}

/// A memory slot of a device's memory.
private final class KVMMemoryMapping: MemoryMapping {
  private let machine: VirtualMachine
  private let numbers: MemorySlotNumbers
  private let slot: MemorySlot
  /// Kept for as long as the slot is there.
  private let memory: DeviceMemory

  init(
    _ machine: VirtualMachine, numbers: MemorySlotNumbers, slot: MemorySlot, memory: DeviceMemory
  ) {
    self.machine = machine
    self.numbers = numbers
    self.slot = slot
    self.memory = memory
  }

  func addWrittenPages(to words: inout [UInt64]) -> Bool {
    var log = [UInt64](repeating: 0, count: words.count)
    do {
      var span = log.mutableSpan
      try machine.readDirtyLog(of: slot, into: &span)
      // With manual protect reading left them set; without, there is nothing to clear. Most looks
      // at a screen find nothing.
      guard log.contains(where: { $0 != 0 }) else { return true }
      try? machine.clearDirtyLog(of: slot, words: log)
    } catch {
      // Also where logging is off.
      return false
    }
    for index in words.indices { words[index] |= log[index] }
    return true
  }

  func setLogsWrites(_ logsWrites: Bool) -> Bool {
    do {
      try machine.setMemorySlot(slot, options: logsWrites ? .logsDirtyPages : [])
      return true
    } catch {
      return false
    }
  }

  func unmap() {
    // It fails for no slot that is there.
    try? machine.removeMemorySlot(slot)
    numbers.giveBack(slot.number)
  }
}
