internal import Bytes
internal import DeviceKit
internal import GuestMemory

/// The guest memory of a command's data, from its PRP entries (NVMe 1.4 §4.3): all of it is RAM.
struct NVMeDataBuffer: Sendable {
  /// Bytes of a memory page, *CC.MPS* 0.
  static let pageByteCount = 4096
  private static let entryByteCount = 8

  /// In the order of the data; no two that touch.
  private(set) var pieces: [GuestMemoryPiece] = []

  /// Follows the entries of a command for `byteCount` bytes, at least one.
  ///
  /// However the lists are linked, no more entries are read than the data has pages.
  ///
  /// - Throws: `prpOffsetInvalid` for an offset that must be zero or aligned and is not,
  ///   `dataTransferError` for a page or a list outside RAM.
  init(
    prp1: UInt64, prp2: UInt64, byteCount: Int, memory: GuestMemory
  ) throws(NVMeFailure) {
    guard prp1 % 4 == 0 else { throw NVMeFailure(.prpOffsetInvalid) }
    let first = min(byteCount, Self.pageByteCount - GPA(prp1).offsetInPage)
    try append(prp1, first, memory)
    var rest = byteCount - first
    if rest == 0 { return }
    if rest <= Self.pageByteCount {
      try appendPage(prp2, &rest, memory)
      return
    }
    guard prp2 % UInt64(Self.entryByteCount) == 0 else { throw NVMeFailure(.prpOffsetInvalid) }
    var list = prp2
    while rest > 0 {
      let needed = (rest + Self.pageByteCount - 1) / Self.pageByteCount
      let available = (Self.pageByteCount - GPA(list).offsetInPage) / Self.entryByteCount
      let entries = try Self.entries(list, min(needed, available), memory)
      let isLinked = needed > available
      for entry in isLinked ? entries.dropLast() : entries[...] {
        try appendPage(entry, &rest, memory)
      }
      guard isLinked, let next = entries.last else { break }
      // Further lists fill their pages: so each brings data, and a loop of lists ends with it.
      guard next % UInt64(Self.pageByteCount) == 0 else { throw NVMeFailure(.prpOffsetInvalid) }
      list = next
    }
  }

  private static func entries(
    _ list: UInt64, _ count: Int, _ memory: GuestMemory
  ) throws(NVMeFailure) -> [UInt64] {
    guard let bytes = try? memory.read(at: GPA(list), byteCount: count * entryByteCount) else {
      throw NVMeFailure(.dataTransferError)
    }
    return (0..<count).map { bytes.loadLE(at: $0 * entryByteCount) }
  }

  private mutating func appendPage(
    _ entry: UInt64, _ rest: inout Int, _ memory: GuestMemory
  ) throws(NVMeFailure) {
    guard entry % UInt64(Self.pageByteCount) == 0 else { throw NVMeFailure(.prpOffsetInvalid) }
    let count = min(rest, Self.pageByteCount)
    try append(entry, count, memory)
    rest -= count
  }

  private mutating func append(
    _ address: UInt64, _ count: Int, _ memory: GuestMemory
  ) throws(NVMeFailure) {
    guard memory.isRAM(GPA(address), byteCount: count) else {
      throw NVMeFailure(.dataTransferError)
    }
    if let last = pieces.last, last.start.advanced(by: UInt64(last.byteCount)) == GPA(address) {
      pieces[pieces.count - 1].byteCount += count
    } else {
      pieces.append(GuestMemoryPiece(start: GPA(address), byteCount: count))
    }
  }

  /// Copies the data out of guest memory.
  func read(from memory: GuestMemory) throws(NVMeFailure) -> [UInt8] {
    var bytes: [UInt8] = []
    for piece in pieces {
      guard let part = try? memory.read(at: piece.start, byteCount: piece.byteCount) else {
        throw NVMeFailure(.dataTransferError)
      }
      bytes += part
    }
    return bytes
  }

  /// Copies data into guest memory; both have the same length.
  func write(_ bytes: [UInt8], to memory: GuestMemory) throws(NVMeFailure) {
    var done = 0
    for piece in pieces {
      do {
        try memory.write(Array(bytes[done..<(done + piece.byteCount)]), at: piece.start)
      } catch {
        throw NVMeFailure(.dataTransferError)
      }
      done += piece.byteCount
    }
  }
}

/// A command ends here, with this status.
struct NVMeFailure: Error, Equatable {
  let status: NVMeStatus

  init(_ status: NVMeStatus) {
    self.status = status
  }
}
