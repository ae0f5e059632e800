public import GuestMemory

/// What is behind a virtual disk: bytes at offsets, moved straight from and to guest memory.
///
/// Any thread, several at once; calls may block. Callers keep offsets within `byteCount`, but what
/// is behind may have shrunk: that is an error, never a trap. Of overlapping calls that run at the
/// same time each byte gets either.
public protocol BlockStore: AnyObject, Sendable {
  /// Its size in bytes, whole sectors. It does not change.
  var byteCount: UInt64 { get }
  /// Bytes of a sector as the guest sees it: 512, as by default, or 4096. It does not change.
  var sectorByteCount: UInt64 { get }
  /// Whether writes, discards and zeroing are refused.
  var isReadOnly: Bool { get }

  /// Fills guest memory at `address` with `byteCount` bytes from `offset` on.
  func read(
    at offset: UInt64, byteCount: Int, into memory: GuestMemory, at address: GPA
  ) throws(BlockStoreError)

  /// Stores `byteCount` bytes of guest memory at `address` from `offset` on.
  func write(
    at offset: UInt64, byteCount: Int, from memory: GuestMemory, at address: GPA
  ) throws(BlockStoreError)

  /// Fills pieces of guest memory, in order, with the bytes from `offset` on.
  ///
  /// After an error some of them may be filled.
  func read(
    at offset: UInt64, into memory: GuestMemory, at pieces: [GuestMemoryPiece]
  ) throws(BlockStoreError)

  /// Stores pieces of guest memory, in order, from `offset` on.
  ///
  /// After an error some of them may be stored.
  func write(
    at offset: UInt64, from memory: GuestMemory, at pieces: [GuestMemoryPiece]
  ) throws(BlockStoreError)

  /// Returns when all writes that returned before are safe from a loss of power.
  func flush() throws(BlockStoreError)

  /// Gives the bytes back to the host, and they read zero; where the host takes none back, they
  /// stay.
  func discard(at offset: UInt64, byteCount: UInt64) throws(BlockStoreError)

  /// Makes the bytes zero.
  ///
  /// - Parameter mayDiscard: whether the host may take them back; if not, a later write to them
  ///   cannot fail for want of space.
  func writeZeroes(
    at offset: UInt64, byteCount: UInt64, mayDiscard: Bool
  ) throws(BlockStoreError)
}

// What nearly all disks have; and one piece after the other, for a back-end that has nothing
// better.
extension BlockStore {
  public var sectorByteCount: UInt64 { 512 }

  public func read(
    at offset: UInt64, into memory: GuestMemory, at pieces: [GuestMemoryPiece]
  ) throws(BlockStoreError) {
    var offset = offset
    for piece in pieces {
      try read(at: offset, byteCount: piece.byteCount, into: memory, at: piece.start)
      offset += UInt64(piece.byteCount)
    }
  }

  public func write(
    at offset: UInt64, from memory: GuestMemory, at pieces: [GuestMemoryPiece]
  ) throws(BlockStoreError) {
    var offset = offset
    for piece in pieces {
      try write(at: offset, byteCount: piece.byteCount, from: memory, at: piece.start)
      offset += UInt64(piece.byteCount)
    }
  }
}
