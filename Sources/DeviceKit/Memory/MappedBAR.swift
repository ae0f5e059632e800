internal import GuestMemory
internal import HostSystem

/// A BAR with memory behind it: mapped where nothing else is decoded, else accessed by exits.
///
/// `PCIHost` places it. Which pages were written is known in both cases, and kept when the BAR
/// moves.
final class MappedBAR: Sendable {
  private struct State {
    /// Where `mapping` is, or should be.
    var address: UInt64?
    var mapping: (any MemoryMapping)?
    var logsWrites: Bool
    /// A bit for each page written by exits, or in a mapping that is gone.
    var written: [UInt64]

    mutating func setAllWritten(_ pageCount: Int) {
      for page in 0..<pageCount { written[page / 64] |= 1 << UInt64(page % 64) }
    }
  }

  let bar: PCIBAR
  let memory: DeviceMemory
  private let mapper: (any MemoryMapper)?
  private let state: Guarded<State>

  init(_ bar: PCIBAR, memory: DeviceMemory, logsWrites: Bool, mapper: (any MemoryMapper)?) {
    self.bar = bar
    self.memory = memory
    self.mapper = mapper
    let wordCount = (memory.byteCount / 4096 + 63) / 64
    state = Guarded(
      State(logsWrites: logsWrites, written: [UInt64](repeating: 0, count: wordCount)))
  }

  deinit {
    state.withLock { $0.mapping?.unmap() }
  }

  /// Maps it at `address`, and nowhere else; nil for nowhere.
  func place(at address: UInt64?) {
    state.withLock { state in
      guard address != state.address else { return }
      if let mapping = state.mapping {
        mapping.unmap()
        // Its log is gone, with writes up to the last moment.
        state.setAllWritten(memory.byteCount / 4096)
      }
      state.address = address
      state.mapping = address.flatMap {
        mapper?.map(memory, at: $0, logsWrites: state.logsWrites)
      }
    }
  }

  /// Starts or ends the log of what the guest writes without exits. After the start all pages count
  /// as written.
  func setLogsWrites(_ logsWrites: Bool) {
    state.withLock { state in
      guard logsWrites != state.logsWrites else { return }
      state.logsWrites = logsWrites
      if let mapping = state.mapping, !mapping.setLogsWrites(logsWrites), logsWrites {
        // A new mapping has it from the start.
        mapping.unmap()
        state.mapping = state.address.flatMap {
          mapper?.map(memory, at: $0, logsWrites: logsWrites)
        }
      }
      if logsWrites { state.setAllWritten(memory.byteCount / 4096) }
    }
  }

  /// Whether the guest reaches the memory without exits now.
  var isMapped: Bool { state.withLock { $0.mapping != nil } }

  /// The pages written since the last call; all while there is no log.
  func takeWrittenPages() -> [UInt64] {
    state.withLock { state in
      let isKnown =
        state.logsWrites && state.mapping?.addWrittenPages(to: &state.written) ?? true
      if !isKnown {
        state.setAllWritten(memory.byteCount / 4096)
      }
      let written = state.written
      for index in written.indices { state.written[index] = 0 }
      return written
    }
  }

  /// Reads what an access that exited asks for; it lies inside.
  func read(offset: UInt64, width: Int) -> UInt64 {
    ByteLanes.read(
      offset: offset, width: width, registerCount: bar.byteCount
    ) { memory.byte(at: Int($0)) }
  }

  /// Carries out a write that exited; it lies inside.
  func write(offset: UInt64, width: Int, value: UInt64) {
    state.withLock { state in
      ByteLanes.write(
        offset: offset, width: width, value: value, registerCount: bar.byteCount
      ) { index, byte in
        memory.write([byte], at: Int(index))
        let page = Int(index / 4096)
        state.written[page / 64] |= 1 << UInt64(page % 64)
      }
    }
  }
}

extension MappedBAR {
  /// The bytes of the memory; all of it counts as written after restoring.
  func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try memory.transferContents(&transfer)
    guard transfer.isRestoring else { return }
    state.withLock { $0.setAllWritten(memory.byteCount / 4096) }
  }
}
