internal import Bytes
internal import DeviceKit
internal import GuestMemory

/// Carries out commands of I/O queues. Calls block as long as the back-end does.
struct NVMeIOCommands: Sendable {
  /// *FUA*, Command Dword 12 bit 30.
  private static let forceUnitAccess: UInt32 = 1 << 30
  /// *DEAC*, Command Dword 12 bit 25.
  private static let deallocate: UInt32 = 1 << 25
  /// Bytes of a range of Dataset Management.
  private static let rangeByteCount = 16

  let store: any BlockStore
  let history: NVMeHistory

  private var sectorByteCount: UInt64 { store.sectorByteCount }
  private var sectorCount: UInt64 { store.byteCount / sectorByteCount }

  /// What a command answers.
  ///
  /// - Parameters:
  ///   - memory: where the guest has the data.
  ///   - hasWriteCache: whether the guest left the volatile write cache on.
  func run(_ command: NVMeCommand, _ memory: GuestMemory, hasWriteCache: Bool) -> NVMeAnswer {
    do {
      try execute(command, memory, hasWriteCache)
      return .success
    } catch {
      return .failure(error.status)
    }
  }

  /// Whether a command may find all it needs in the host's memory, so that trying is worth it.
  static func mayBeQuick(_ command: NVMeCommand, hasWriteCache: Bool) -> Bool {
    switch NVMeIOOpcode(rawValue: command.opcode) {
    case .read: true
    case .write: hasWriteCache && command.dword(12) & forceUnitAccess == 0
    default: false
    }
  }

  /// Bytes that a read or write moves.
  func byteCount(_ command: NVMeCommand) -> UInt64 {
    Self.sectors(command).count * sectorByteCount
  }

  private func execute(
    _ command: NVMeCommand, _ memory: GuestMemory, _ hasWriteCache: Bool
  ) throws(NVMeFailure) {
    let opcode = NVMeIOOpcode(rawValue: command.opcode)
    guard NVMeIOOpcode.all.contains(opcode) else { throw NVMeFailure(.invalidOpcode) }
    guard command.isSupportedForm else { throw NVMeFailure(.invalidField) }
    let isAll = opcode == .flush && command.namespace == NVMeCommand.allNamespaces
    guard command.namespace == NVMeIdentify.namespace || isAll else {
      throw NVMeFailure(.invalidNamespace)
    }
    guard !opcode.changesData || !store.isReadOnly else {
      throw NVMeFailure(.writeToReadOnlyRange)
    }
    switch opcode {
    case .flush: try flush()
    case .read: try transfer(command, memory, isRead: true)
    case .write: try transfer(command, memory, isRead: false)
    case .writeZeroes: try writeZeroes(command)
    default: try manageDataset(command, memory)
    }
    let mustFlush = !hasWriteCache || command.dword(12) & Self.forceUnitAccess != 0
    if mustFlush, opcode == .write || opcode == .writeZeroes { try flush() }
  }

  private func flush() throws(NVMeFailure) {
    try checked(isRead: false) { () throws(BlockStoreError) in try store.flush() }
  }

  /// Reads or writes: sectors in dwords 10 and 11, their zero-based number in 15:0 of dword 12.
  private func transfer(
    _ command: NVMeCommand, _ memory: GuestMemory, isRead: Bool
  ) throws(NVMeFailure) {
    let (first, count) = Self.sectors(command)
    let byteCount = Int(count * sectorByteCount)
    guard byteCount <= NVMeIdentify.maximumTransferByteCount else {
      throw NVMeFailure(.invalidField)
    }
    let offset = try offset(first, count)
    let buffer = try NVMeDataBuffer(
      prp1: command.prp1, prp2: command.prp2, byteCount: byteCount, memory: memory)
    try checked(isRead: isRead) { () throws(BlockStoreError) in
      // A system call for all of it: a guest's 512 KiB are often 128 pieces.
      if isRead {
        try store.read(at: offset, into: memory, at: buffer.pieces)
      } else {
        try store.write(at: offset, from: memory, at: buffer.pieces)
      }
    }
    if isRead {
      history.countRead(byteCount: byteCount)
    } else {
      history.countWrite(byteCount: byteCount)
    }
  }

  private func writeZeroes(_ command: NVMeCommand) throws(NVMeFailure) {
    let (first, count) = Self.sectors(command)
    let offset = try offset(first, count)
    let mayDiscard = command.dword(12) & Self.deallocate != 0
    try checked(isRead: false) { () throws(BlockStoreError) in
      try store.writeZeroes(
        at: offset, byteCount: count * sectorByteCount, mayDiscard: mayDiscard)
    }
  }

  /// Deallocates, if bit 2 of dword 11 asks for it; the other attributes are hints. All ranges are
  /// checked before the first is touched. Their zero-based number is in 7:0 of dword 10.
  private func manageDataset(
    _ command: NVMeCommand, _ memory: GuestMemory
  ) throws(NVMeFailure) {
    let rangeCount = Int(command.dword(10) & 0xFF) + 1
    let buffer = try NVMeDataBuffer(
      prp1: command.prp1, prp2: command.prp2, byteCount: rangeCount * Self.rangeByteCount,
      memory: memory)
    guard command.dword(11) & 4 != 0 else { return }
    let bytes = try buffer.read(from: memory)
    var ranges: [(offset: UInt64, byteCount: UInt64)] = []
    for index in 0..<rangeCount {
      let count = UInt64(bytes.loadLE(at: index * Self.rangeByteCount + 4, as: UInt32.self))
      let first: UInt64 = bytes.loadLE(at: index * Self.rangeByteCount + 8)
      ranges.append((try offset(first, count), count * sectorByteCount))
    }
    for range in ranges {
      try checked(isRead: false) { () throws(BlockStoreError) in
        try store.discard(at: range.offset, byteCount: range.byteCount)
      }
    }
  }

  private static func sectors(_ command: NVMeCommand) -> (first: UInt64, count: UInt64) {
    let first = UInt64(command.dword(10)) | UInt64(command.dword(11)) << 32
    return (first, UInt64(command.dword(12) & 0xFFFF) + 1)
  }

  /// The first byte of sectors that all exist.
  private func offset(_ first: UInt64, _ count: UInt64) throws(NVMeFailure) -> UInt64 {
    let (end, overflow) = first.addingReportingOverflow(count)
    guard !overflow, end <= sectorCount else { throw NVMeFailure(.lbaOutOfRange) }
    return first * sectorByteCount
  }

  private func checked(
    isRead: Bool, _ body: () throws(BlockStoreError) -> Void
  ) throws(NVMeFailure) {
    do {
      try body()
    } catch {
      throw NVMeFailure(NVMeStatus(error, isRead: isRead))
    }
  }
}
