internal import Bytes
internal import GuestMemory

/// The guest memory of a command's data, by its table of regions (*PRDT*), filled or emptied from
/// its beginning. Source: AHCI 1.3.1 §4.2.3.3.
struct AHCIData: Sendable {
  static let entryByteCount = 16

  private let memory: GuestMemory
  /// Any addresses: what is used is looked at then.
  private let pieces: [GuestMemoryPiece]
  /// What was moved: *PRDBC*.
  private(set) var byteCount = 0
  /// Memory that was to be used is not there.
  private(set) var hasFailed = false
  /// The table ended before the data.
  private(set) var hasOverflowed = false

  /// Reads a table.
  ///
  /// - Parameter entryCount: at most 65,535, as a command header has it.
  /// - Returns: nil if it is not all RAM.
  init?(table: UInt64, entryCount: Int, memory: GuestMemory) {
    self.memory = memory
    guard entryCount > 0 else {
      pieces = []
      return
    }
    guard let bytes = try? memory.read(at: GPA(table), byteCount: entryCount * Self.entryByteCount)
    else { return nil }
    pieces = (0..<entryCount).map { index in
      let start: UInt64 = bytes.loadLE(at: index * Self.entryByteCount)
      let last: UInt32 = bytes.loadLE(at: index * Self.entryByteCount + 12)
      // Even addresses and lengths; 4 MiB at most.
      return GuestMemoryPiece(start: GPA(start & ~1), byteCount: Int(last & 0x3F_FFFF | 1) + 1)
    }
  }

  /// The next bytes of the memory, as many as there are of `limit`, all of them RAM.
  ///
  /// - Returns: nil if some are not RAM; nothing is to be moved then.
  private mutating func take(_ limit: UInt64) -> [GuestMemoryPiece]? {
    var (skipped, rest) = (byteCount, limit)
    var taken: [GuestMemoryPiece] = []
    for piece in pieces where rest > 0 {
      guard skipped < piece.byteCount else {
        skipped -= piece.byteCount
        continue
      }
      let count = Int(min(UInt64(piece.byteCount - skipped), rest))
      guard let start = piece.start.advanced(by: UInt64(skipped)),
        memory.isRAM(start, byteCount: count)
      else {
        hasFailed = true
        return nil
      }
      taken.append(GuestMemoryPiece(start: start, byteCount: count))
      byteCount += count
      rest -= UInt64(count)
      skipped = 0
    }
    if rest > 0 { hasOverflowed = true }
    return taken
  }

  /// Gives the guest bytes, as far as it has room.
  mutating func write(_ bytes: [UInt8]) {
    guard let pieces = take(UInt64(bytes.count)) else { return }
    var done = 0
    for piece in pieces {
      do {
        try memory.write(Array(bytes[done..<(done + piece.byteCount)]), at: piece.start)
      } catch {
        hasFailed = true
        return
      }
      done += piece.byteCount
    }
  }

  /// Gives the guest bytes of a disk or medium, as far as it has room.
  ///
  /// - Returns: whether they could be read.
  mutating func read(from store: any BlockStore, at offset: UInt64, byteCount: UInt64) -> Bool {
    guard let pieces = take(byteCount), !pieces.isEmpty else { return true }
    return (try? store.read(at: offset, into: memory, at: pieces)) != nil
  }

  /// Stores the guest's bytes on a disk: all of them, or none if it gives too few.
  ///
  /// - Returns: whether they could be written.
  mutating func write(to store: any BlockStore, at offset: UInt64, byteCount: UInt64) -> Bool {
    guard let pieces = take(byteCount) else { return true }
    guard !hasOverflowed else {
      self.byteCount = 0
      return false
    }
    return (try? store.write(at: offset, from: memory, at: pieces)) != nil
  }
}
