public import DeviceKit
public import GuestMemory
internal import HostSystem

/// The firmware configuration device (*fw_cfg*): what the VMM tells firmware, by ports or by DMA.
///
/// | offset | register |
/// | --- | --- |
/// | 0 | selector, 16 bits, write only: chooses an item, and its first byte |
/// | 1 | data, 8 bits: the item's next byte, 0 past its end; writes are dropped |
/// | 4 | address of a DMA command, 64 bits, big-endian; writing the low half starts it |
///
/// Source: QEMU's docs/specs/fw_cfg, whose interface OVMF and Linux know.
public final class FirmwareConfiguration: BusDevice {
  /// Where an x86 machine has it.
  public static let ports = PortRange(start: 0x510, count: 12)

  /// What the address register reads as: `QEMU CFG`, by which drivers know that there is DMA.
  private static let signature: UInt64 = 0x4746_4320_554D_4551

  private struct State: Sendable {
    var items: FirmwareItems
    var selector: UInt16 = 0
    /// In the chosen item, in bytes; at most its length.
    var offset = 0
    /// The address register's upper half, as written last.
    var addressHigh: UInt32 = 0
  }

  private let memory: GuestMemory
  private let state: Guarded<State>

  /// A device for these items, whose DMA goes to `memory`.
  public init(items: FirmwareItems, memory: GuestMemory) {
    self.memory = memory
    state = Guarded(State(items: items))
  }

  /// The item's next byte, or the signature.
  public func read(offset: UInt64, width: Int) -> UInt64 {
    switch (offset, width) {
    case (1, 1): UInt64(nextByte())
    case (4...11, _): Self.signature >> (8 * (offset - 4))
    default: 0
    }
  }

  /// Chooses an item, or starts DMA.
  public func write(offset: UInt64, width: Int, value: UInt64) {
    switch (offset, width) {
    case (0, 2): state.withLock { Self.select(UInt16(truncatingIfNeeded: value), in: &$0) }
    case (4, 4):
      state.withLock { $0.addressHigh = UInt32(truncatingIfNeeded: value).byteSwapped }
    case (8, 4): transfer(UInt32(truncatingIfNeeded: value).byteSwapped)
    default: return
    }
  }

  private func nextByte() -> UInt8 {
    state.withLock { state in
      let item = state.items[state.selector]
      guard state.offset < item.count else { return 0 }
      defer { state.offset += 1 }
      return item[state.offset]
    }
  }

  private static func select(_ selector: UInt16, in state: inout State) {
    state.items.complete(selector)
    state.selector = selector
    state.offset = 0
  }

  /// Runs the command at the address of which `low` is the lower half.
  private func transfer(_ low: UInt32) {
    state.withLock { state in
      let address = GPA(UInt64(state.addressHigh) << 32 | UInt64(low))
      state.addressHigh = 0
      // No memory, no place for an answer either.
      guard let command = try? FirmwareDMACommand(at: address, in: memory) else { return }
      let isDone = run(command, &state)
      command.finish(isDone: isDone, at: address, in: memory)
    }
  }

  /// - Returns: false if the guest asked for something impossible.
  private func run(_ command: FirmwareDMACommand, _ state: inout State) -> Bool {
    if let selector = command.selector { Self.select(selector, in: &state) }
    let item = state.items[state.selector]
    let count = min(command.byteCount, item.count - state.offset)
    switch command.operation {
    case .read:
      guard copy(item, state.offset..<(state.offset + count), command) else { return false }
      state.offset += count
    case .skip: state.offset += count
    case .write:
      // More than is left of the item is refused before it is read.
      guard count == command.byteCount,
        let bytes = try? memory.read(at: command.address, byteCount: count),
        state.items.write(bytes, to: state.selector, at: state.offset)
      else { return false }
      state.offset += count
    case .nothing: break
    }
    return true
  }

  /// Copies bytes of the item and, for what the command asks beyond them, zeroes.
  private func copy(
    _ item: [UInt8], _ range: Range<Int>, _ command: FirmwareDMACommand
  ) -> Bool {
    guard memory.isRAM(command.address, byteCount: command.byteCount) else {
      return false
    }
    // All within one region, as just checked.
    let end = GPA(command.address.rawValue + UInt64(range.count))
    do {
      // SAFETY: an integer has no padding, so every byte is initialised.
      try unsafe memory.write(item.span.extracting(range).bytes, at: command.address)
      if range.count < command.byteCount {
        try memory.fill(at: end, byteCount: command.byteCount - range.count, with: 0)
      }
      return true
    } catch {
      return false
    }
  }
}

extension FirmwareConfiguration: StatefulDevice {
  /// What is selected, and the files that were made when they were asked for.
  public func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try state.withLock { (state) throws(StateError) in
      try state.items.transfer(&transfer)
      try transfer.integer(&state.selector)
      try transfer.integer(&state.offset, in: 0...state.items[state.selector].count)
      try transfer.integer(&state.addressHigh)
    }
  }
}
