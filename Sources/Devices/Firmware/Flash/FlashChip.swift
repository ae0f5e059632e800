public import DeviceKit
public import GuestMemory
internal import HostSystem

/// A flash chip for firmware's variables: 8 bits wide, blocks of 4 KiB, Intel's command set.
///
/// While it is in array mode the guest reads `contents` directly, if the machine maps it as
/// read-only memory: `onReadable` says when it may. Everything else arrives here.
public final class FlashChip: BusDevice {
  /// The bytes of the array; as many as the store has.
  public let contents: DeviceMemory

  private struct State: Sendable {
    var machine = FlashStateMachine()
    var hasUnsavedChanges = false
    var onReadable: (@Sendable (Bool) -> Void)?
  }

  private let geometry: FlashGeometry
  let store: any FlashStore
  private let state = Guarded(State())
  private let onFailure: @Sendable (FlashStoreError) -> Void

  /// A chip with the store's bytes.
  ///
  /// - Parameter onFailure: told, with the lock held, of each change that could not be stored. The
  ///   guest finds the change failed.
  /// - Throws: `GuestMemoryError` if the host gives no memory.
  public init(
    store: any FlashStore, onFailure: @escaping @Sendable (FlashStoreError) -> Void
  ) throws(GuestMemoryError) {
    let bytes = store.initialBytes
    contents = try DeviceMemory(byteCount: bytes.count)
    contents.write(bytes, at: 0)
    geometry = FlashGeometry(byteCount: bytes.count)
    self.store = store
    self.onFailure = onFailure
  }

  /// Begins a machine's life: array mode, and `onReadable` is called for each change of mode from
  /// then on, with the lock held: true when reads of `contents` give what reads of the chip would.
  public func reset(onReadable: @escaping @Sendable (Bool) -> Void) {
    state.withLock { state in
      save(&state)
      state.machine = FlashStateMachine()
      state.onReadable = onReadable
    }
  }

  /// Ends a machine's life: mode changes are no longer reported, and what changed is saved.
  public func detach() {
    state.withLock { state in
      save(&state)
      state.onReadable = nil
    }
  }

  /// What the chip drives in its mode, byte by byte.
  public func read(offset: UInt64, width: Int) -> UInt64 {
    state.withLock { state in
      ByteLanes.read(offset: offset, width: width, registerCount: UInt64(geometry.byteCount)) {
        let index = Int($0)
        switch state.machine.mode {
        case .array: return contents.byte(at: index)
        case .status: return state.machine.status.rawValue
        case .identifier: return geometry.identifier(at: index)
        case .query: return geometry.query(at: index)
        }
      }
    }
  }

  /// Takes each byte as a command, or as what the last command waits for.
  public func write(offset: UInt64, width: Int, value: UInt64) {
    state.withLock { state in
      let before = state.machine.mode
      ByteLanes.write(
        offset: offset, width: width, value: value, registerCount: UInt64(geometry.byteCount)
      ) { index, byte in
        if let change = state.machine.write(byte) {
          let isDone = make(change, at: Int(index))
          state.machine.finish(change, isDone: isDone)
          state.hasUnsavedChanges = true
        }
      }
      let mode = state.machine.mode
      if mode == .array { save(&state) }
      if (mode == .array) != (before == .array) { state.onReadable?(mode == .array) }
    }
  }

  /// Changes the store first: what the guest finds done is there.
  private func make(_ change: FlashStateMachine.Change, at offset: Int) -> Bool {
    let start: Int
    let bytes: [UInt8]
    switch change {
    case .program(let byte):
      start = offset
      // Programming only clears bits.
      bytes = [contents.byte(at: offset) & byte]
    case .erase:
      start = offset & ~(FlashGeometry.blockByteCount - 1)
      bytes = [UInt8](repeating: 0xFF, count: FlashGeometry.blockByteCount)
    }
    do {
      try store.write(bytes, at: start)
    } catch {
      onFailure(error)
      return false
    }
    contents.write(bytes, at: start)
    return true
  }

  /// Firmware returns to array mode after each step of its own protocol, which keeps the variables
  /// whole as long as the steps reach the disk in order. What could not be saved is tried again the
  /// next time.
  private func save(_ state: inout State) {
    guard state.hasUnsavedChanges else { return }
    do {
      try store.flush()
      state.hasUnsavedChanges = false
    } catch {
      onFailure(error)
    }
  }
}

extension FlashChip: StatefulDevice {
  /// The chip's mode and contents. Contents that a file keeps must be those that were saved: a
  /// restored system has some of them in its memory.
  public func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try state.withLock { (state) throws(StateError) in
      save(&state)
      try state.machine.transfer(&transfer)
      let before = transfer.isRestoring ? contents.read(at: 0, byteCount: contents.byteCount) : []
      try contents.transferContents(&transfer)
      guard transfer.isRestoring else { return }
      if !(store is VolatileFlashStore) {
        let isSame = contents.read(at: 0, byteCount: contents.byteCount) == before
        if !isSame { contents.write(before, at: 0) }
        try transfer.check(isSame, "the variables have changed since it was saved")
      }
      if state.machine.mode != .array { state.onReadable?(false) }
    }
  }
}
