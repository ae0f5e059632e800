public import Glibc

// Files read into and written from guest memory by the kernel, without a copy on the way.
extension GuestMemory {
  /// The most bytes in one system call: a discard must not wait longer than for this many.
  private static let pieceByteCount = 4 << 20

  /// Reads from a file straight into guest memory, marked as touched before.
  ///
  /// Short reads are continued and interrupted ones repeated, until all bytes are there. Any thread.
  ///
  /// - Parameters:
  ///   - descriptor: open for reading, seekable; its own offset is neither used nor moved.
  ///   - fileOffset: in bytes, where reading starts.
  ///   - byteCount: how many bytes.
  ///   - address: where they go.
  /// - Throws: `GuestMemoryError.notRAM` before anything is read; `.fileEnded` or `.system` when part of
  ///   the bytes may have changed.
  public func readFile(
    descriptor: Int32, fileOffset: off_t, byteCount: Int, at address: GPA
  ) throws(GuestMemoryError) {
    try transfer("pread", fileOffset, byteCount, address) { place, offset, count in
      unsafe writing(at: place, count) { bytes in
        // SAFETY: the kernel writes at most bytes.count bytes.
        let result = unsafe pread(descriptor, bytes.baseAddress, bytes.count, offset)
        return result < 0 ? -Int(errno) : result
      }
    }
  }

  /// Writes guest memory to a file straight away.
  ///
  /// Short writes are continued and interrupted ones repeated. Any thread. The guest may change the
  /// bytes meanwhile; the file then gets either.
  ///
  /// - Parameters:
  ///   - descriptor: open for writing, seekable; its own offset is neither used nor moved.
  ///   - fileOffset: in bytes, where writing starts.
  ///   - byteCount: how many bytes.
  ///   - address: where they come from.
  /// - Throws: `GuestMemoryError.notRAM` before anything is written; `.fileEnded` if the file takes no
  ///   more; `.system` when part of the bytes may be written.
  public func writeFile(
    descriptor: Int32, fileOffset: off_t, byteCount: Int, at address: GPA
  ) throws(GuestMemoryError) {
    try transfer("pwrite", fileOffset, byteCount, address) { place, offset, count in
      guard let bytes = unsafe bytes(at: place, count) else { return nil }
      // SAFETY: the kernel reads at most bytes.count bytes.
      let result = unsafe pwrite(descriptor, bytes.baseAddress, bytes.count, offset)
      return result < 0 ? -Int(errno) : result
    }
  }

  /// Calls `piece` until all bytes are through. It returns the bytes it did, or the negative errno.
  private func transfer(
    _ operation: String, _ fileOffset: off_t, _ byteCount: Int, _ address: GPA,
    piece: (GPA, off_t, Int) -> Int?
  ) throws(GuestMemoryError) {
    guard isRAM(address, byteCount: byteCount) else {
      throw .notRAM(address, byteCount: byteCount)
    }
    var done = 0
    while done < byteCount {
      let count = min(byteCount - done, Self.pieceByteCount)
      let (offset, overflow) = fileOffset.addingReportingOverflow(off_t(done))
      guard let place = address.advanced(by: UInt64(done)), !overflow else {
        throw .system(operation: operation, address, byteCount: byteCount, errno: EOVERFLOW)
      }
      switch piece(place, offset, count) {
      case nil:
        throw .notRAM(address, byteCount: byteCount)
      case 0:
        throw .fileEnded(address, byteCount: byteCount, transferredByteCount: done)
      case .some(let result) where result > 0:
        done += result
      case .some(let result) where result == -Int(EINTR):
        continue
      case .some(let result):
        throw .system(
          operation: operation, address, byteCount: byteCount, errno: Int32(-result))
      }
    }
  }
}
