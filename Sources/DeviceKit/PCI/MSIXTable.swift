internal import Bytes
internal import HostSystem

/// MSI-X (PCI 3.0 §6.8.2): the vectors of a function, their masks, and what is pending behind a
/// mask.
///
/// A function has one by `PCIConfigurationSpace.addMSIX`; its endpoint forwards accesses. A message
/// leaves with the table's lock held: after a guest has masked a vector, none of it is still on its
/// way.
final class MSIXTable: Sendable {
  /// Bytes of an entry: address, data, vector control.
  static let entryByteCount = 16

  private struct State {
    var bytes: [UInt8]
    var pending: [Bool]
    var control = MSIXControl(rawValue: 0)
    /// Messages are writes of memory: only a bus master sends them.
    var isBusMaster = false
  }

  private let layout: MSIXLayout
  private let sink: (any MSISink)?
  private let state: Guarded<State>

  /// The vectors of a function, all masked.
  init(_ layout: MSIXLayout, sink: (any MSISink)?) {
    self.layout = layout
    self.sink = sink
    state = Guarded(Self.initialState(layout.count))
  }

  /// The number of vectors, 1 to 2048.
  var count: Int { layout.count }

  /// Whether the guest turned MSI-X on; if not, the function has its INTx pin.
  var isEnabled: Bool {
    state.withLock { $0.control.contains(.enable) }
  }

  /// Sends a vector's message, or notes it as pending while it is masked. Dropped while MSI-X is
  /// off, and for vectors there are none of.
  func signal(_ vector: Int) {
    state.withLock { state in
      guard vector >= 0, vector < count, state.control.contains(.enable) else { return }
      state.pending[vector] = true
      flush(&state, vector)
    }
  }

  /// Takes over *Message Control* and *Bus Master* after a write of the configuration registers.
  func follow(_ configuration: PCIConfiguration) {
    state.withLock { state in
      // Read under the lock: of two threads that come here, the second sees the newer value.
      let control = MSIXControl(rawValue: configuration.value(at: layout.capability + 2))
      let isBusMaster = configuration.isBusMaster
      guard control != state.control || isBusMaster != state.isBusMaster else { return }
      state.control = control
      state.isBusMaster = isBusMaster
      if !control.contains(.enable) { state.pending = Array(repeating: false, count: count) }
      for vector in 0..<count { flush(&state, vector) }
    }
  }

  /// What a read of a BAR finds of the table or the pending bits; nil elsewhere.
  func read(bar: Int, offset: UInt64, width: Int) -> UInt64? {
    guard bar == layout.bar else { return nil }
    if let offset = layout.tableOffset(of: offset) {
      return readTable(offset: offset, width: width)
    }
    return layout.pendingOffset(of: offset).map { readPending(offset: $0, width: width) }
  }

  /// Takes a write of a BAR, if it is of the table or the pending bits, which cannot be written.
  func write(bar: Int, offset: UInt64, width: Int, value: UInt64) -> Bool {
    guard bar == layout.bar else { return false }
    if let offset = layout.tableOffset(of: offset) {
      writeTable(offset: offset, width: width, value: value)
      return true
    }
    return layout.pendingOffset(of: offset) != nil
  }

  /// Reads the table; zero past its end. Any values are accepted.
  func readTable(offset: UInt64, width: Int) -> UInt64 {
    state.withLock { state in
      var value: UInt64 = 0
      for index in 0..<UInt64(min(width, 8)) where offset &+ index < UInt64(state.bytes.count) {
        value |= UInt64(state.bytes[Int(offset &+ index)]) << (8 * index)
      }
      return value
    }
  }

  /// Writes the table; dropped past its end. A pending vector that becomes unmasked is sent.
  func writeTable(offset: UInt64, width: Int, value: UInt64) {
    state.withLock { state in
      for index in 0..<UInt64(min(width, 8)) where offset &+ index < UInt64(state.bytes.count) {
        let place = Int(offset &+ index)
        let byte = UInt8(truncatingIfNeeded: value >> (8 * index))
        // Of vector control only the mask bit exists, of the address not its low two bits.
        switch place % Self.entryByteCount {
        case 0: state.bytes[place] = byte & 0xFC
        case 12: state.bytes[place] = byte & 1
        case 13...15: break
        default: state.bytes[place] = byte
        }
      }
      let first = Int(min(offset, UInt64(state.bytes.count))) / Self.entryByteCount
      for vector in first..<min(first + 2, count) { flush(&state, vector) }
    }
  }

  /// Reads the pending bits; zero past their end. They cannot be written.
  func readPending(offset: UInt64, width: Int) -> UInt64 {
    state.withLock { state in
      var value: UInt64 = 0
      for bit in 0..<UInt64(min(width, 8) * 8) {
        let vector = offset.multipliedReportingOverflow(by: 8).partialValue &+ bit
        if offset < UInt64(count), vector < UInt64(count), state.pending[Int(vector)] {
          value |= 1 << bit
        }
      }
      return value
    }
  }

  /// All masked and nothing pending, as after power-on.
  func reset() {
    state.withLock { $0 = Self.initialState(count) }
  }

  private static func initialState(_ count: Int) -> State {
    var bytes = [UInt8](repeating: 0, count: count * entryByteCount)
    for vector in 0..<count { bytes[vector * entryByteCount + 12] = 1 }
    return State(bytes: bytes, pending: Array(repeating: false, count: count))
  }

  /// Sends what is pending and not held back.
  private func flush(_ state: inout State, _ vector: Int) {
    let start = vector * Self.entryByteCount
    guard state.pending[vector], state.isBusMaster, state.control.contains(.enable),
      !state.control.contains(.functionMask), state.bytes[start + 12] & 1 == 0
    else { return }
    state.pending[vector] = false
    sink?.send(
      MSIMessage(
        address: state.bytes.loadLE(at: start), data: state.bytes.loadLE(at: start + 8)))
  }
}

/// *Message Control* of the MSI-X capability.
struct MSIXControl: OptionSet {
  let rawValue: UInt16

  /// *Function Mask*, bit 14: all vectors are masked.
  static let functionMask = MSIXControl(rawValue: 1 << 14)
  /// *MSI-X Enable*, bit 15.
  static let enable = MSIXControl(rawValue: 1 << 15)
  /// What a guest can write; the table's size is read-only.
  static let writable: MSIXControl = [.functionMask, .enable]
}

/// Where a function has its vectors.
struct MSIXLayout: Sendable {
  /// The most vectors that *Message Control* can say.
  static let maximumCount = 2048

  let count: Int
  /// The number of the BAR with table and pending bits.
  let bar: Int
  let table: UInt64
  let pending: UInt64
  /// Offset of the capability in configuration space.
  let capability: Int

  /// An offset in the BAR as one in the table; nil outside it.
  func tableOffset(of offset: UInt64) -> UInt64? {
    Self.offset(of: offset, from: table, byteCount: MSIXTable.entryByteCount * count)
  }

  /// The same for the pending bits, whole words of 8 bytes.
  func pendingOffset(of offset: UInt64) -> UInt64? {
    Self.offset(of: offset, from: pending, byteCount: (count + 63) / 64 * 8)
  }

  private static func offset(of offset: UInt64, from start: UInt64, byteCount: Int) -> UInt64? {
    offset >= start && offset - start < UInt64(byteCount) ? offset - start : nil
  }
}

extension PCIConfigurationSpace {
  /// Adds MSI-X, with the table and the pending bits in one BAR, all vectors masked.
  ///
  /// - Parameters:
  ///   - vectorCount: 1 to 2048.
  ///   - tableOffset: in the BAR, a multiple of 8; 16 bytes for each vector.
  ///   - pendingOffset: in the BAR, a multiple of 8; a bit for each vector.
  public mutating func addMSIX(
    vectorCount: Int, bar: PCIBAR, tableOffset: UInt32, pendingOffset: UInt32
  ) {
    precondition(
      (1...MSIXLayout.maximumCount).contains(vectorCount), "\(vectorCount) MSI-X vectors")
    let words = [tableOffset | UInt32(bar.index), pendingOffset | UInt32(bar.index)]
    let offset = addCapability(
      0x11, body: UInt16(vectorCount - 1).littleEndianBytes + words.littleEndianBytes)
    makeWritable(MSIXControl.writable.rawValue, at: offset + 2)
    msix = MSIXLayout(
      count: vectorCount, bar: bar.index, table: UInt64(tableOffset),
      pending: UInt64(pendingOffset), capability: offset)
  }

  /// Whether the guest turned MSI-X on.
  var usesMSIX: Bool {
    guard let msix else { return false }
    return MSIXControl(rawValue: value(at: msix.capability + 2)).contains(.enable)
  }
}

extension MSIXTable {
  /// Table and pending bits; the rest follows from the configuration, which is restored before.
  func transferState(
    _ transfer: inout StateTransfer, _ configuration: PCIConfiguration
  ) throws(StateError) {
    let control = MSIXControl(rawValue: configuration.value(at: layout.capability + 2))
    let isBusMaster = configuration.isBusMaster
    try state.withLock { (state) throws(StateError) in
      try transfer.bytes(&state.bytes)
      try transfer.flags(&state.pending)
      guard transfer.isRestoring else { return }
      for vector in 0..<count {
        let start = vector * Self.entryByteCount
        // Bits that a guest cannot write.
        state.bytes[start] &= 0xFC
        state.bytes[start + 12] &= 1
        for place in 13...15 { state.bytes[start + place] = 0 }
      }
      state.control = control
      state.isBusMaster = isBusMaster
    }
  }
}
