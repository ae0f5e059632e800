public import Glibc
internal import ZeroTracker

// Files read into and written from scattered guest memory: one system call for many pieces, as a
// guest's buffer is seldom contiguous in its physical memory.
extension GuestMemory {
  /// The most pieces in one system call, well below the kernel's 1024 (*UIO_MAXIOV*).
  private static let maximumPieceCount = 256
  /// The most bytes in one system call: a discard must not wait longer than for this many.
  private static let maximumByteCount = 4 << 20

  /// Reads from a file straight into pieces of guest memory, in order, each marked as touched
  /// before.
  ///
  /// Short reads are continued and interrupted ones repeated, until all bytes are there. Any
  /// thread.
  ///
  /// - Parameters:
  ///   - descriptor: open for reading, seekable; its own offset is neither used nor moved.
  ///   - fileOffset: in bytes, where reading starts.
  ///   - pieces: where the bytes go; they may overlap, and then get either.
  /// - Throws: `GuestMemoryError.notRAM` before anything is read; `.fileEnded` or `.system`, with
  ///   the first piece's address, when part of the bytes may have changed.
  public func readFile(
    descriptor: Int32, fileOffset: off_t, into pieces: [GuestMemoryPiece]
  ) throws(GuestMemoryError) {
    try transfer("preadv", fileOffset, pieces) { part, offset in
      // Within the gate: a discard sees either none of the marks or all of the bytes.
      gate.write {
        for piece in part where piece.byteCount > 0 {
          tracker.markTouched(piece.start.pages(byteCount: piece.byteCount))
        }
        defer {
          for piece in part where piece.byteCount > 0 {
            writeLog.add(piece.start.pages(byteCount: piece.byteCount))
          }
        }
        return unsafe withVectors(part) { vectors in
          // SAFETY: each vector is the place of a piece of RAM, and the mapping outlives the call.
          unsafe preadv(descriptor, vectors.baseAddress, Int32(vectors.count), offset)
        }
      }
    }
  }

  /// Writes pieces of guest memory to a file, in order, straight away.
  ///
  /// Short writes are continued and interrupted ones repeated. Any thread. The guest may change the
  /// bytes meanwhile; the file then gets either.
  ///
  /// - Parameters:
  ///   - descriptor: open for writing, seekable; its own offset is neither used nor moved.
  ///   - fileOffset: in bytes, where writing starts.
  ///   - pieces: where the bytes come from.
  /// - Throws: `GuestMemoryError.notRAM` before anything is written; `.fileEnded` if the file takes
  ///   no more; `.system` when part of the bytes may be written. Both carry the first piece's
  ///   address.
  public func writeFile(
    descriptor: Int32, fileOffset: off_t, from pieces: [GuestMemoryPiece]
  ) throws(GuestMemoryError) {
    try transfer("pwritev", fileOffset, pieces) { part, offset in
      unsafe withVectors(part) { vectors in
        // SAFETY: as above; the kernel only reads.
        unsafe pwritev(descriptor, vectors.baseAddress, Int32(vectors.count), offset)
      }
    }
  }

  /// Calls `call` with parts of the pieces, which are RAM, until all bytes are through. It returns
  /// the bytes it did, or the negative errno.
  func transfer(
    _ operation: String, _ fileOffset: off_t, _ pieces: [GuestMemoryPiece],
    call: ([GuestMemoryPiece], off_t) -> Int
  ) throws(GuestMemoryError) {
    var byteCount = 0
    for piece in pieces {
      guard isRAM(piece.start, byteCount: piece.byteCount) else {
        throw .notRAM(piece.start, byteCount: piece.byteCount)
      }
      byteCount += piece.byteCount
    }
    guard let first = pieces.first?.start else { return }
    var place = ScatteredPlace(pieces)
    var done = 0
    while done < byteCount {
      let (offset, overflow) = fileOffset.addingReportingOverflow(off_t(done))
      guard !overflow else {
        throw .system(operation: operation, first, byteCount: byteCount, errno: EOVERFLOW)
      }
      let part = place.next(
        pieceCount: Self.maximumPieceCount, byteCount: Self.maximumByteCount)
      switch call(part, offset) {
      case 0:
        throw .fileEnded(first, byteCount: byteCount, transferredByteCount: done)
      case let result where result > 0:
        place.advance(result)
        done += result
      case -Int(EINTR):
        continue
      case let result:
        throw .system(
          operation: operation, first, byteCount: byteCount, errno: Int32(-result))
      }
    }
  }

  /// Calls `call` with where the pieces are in this process; they are RAM. Its result, or the
  /// negative errno.
  private func withVectors(
    _ pieces: [GuestMemoryPiece], _ call: (UnsafeBufferPointer<iovec>) -> Int
  ) -> Int {
    unsafe withUnsafeTemporaryAllocation(of: iovec.self, capacity: pieces.count) { vectors in
      for (index, piece) in pieces.enumerated() {
        guard let bytes = unsafe bytes(at: piece.start, piece.byteCount) else {
          preconditionFailure("\(piece.byteCount) bytes at \(piece.start) are no RAM any more")
        }
        // SAFETY: as many vectors were allocated as there are pieces.
        unsafe vectors.initializeElement(
          at: index, to: iovec(iov_base: bytes.baseAddress, iov_len: bytes.count))
      }
      let result = unsafe call(UnsafeBufferPointer(vectors))
      return result < 0 ? -Int(errno) : result
    }
  }
}
