public import Glibc

// Files read into and written from guest memory by the kernel, without a copy on the way.
extension GuestMemory {
  /// Reads from a file straight into guest memory, marked as touched before.
  ///
  /// Short reads are continued and interrupted ones repeated, until all bytes are there. Any
  /// thread.
  ///
  /// - Parameters:
  ///   - descriptor: open for reading, seekable; its own offset is neither used nor moved.
  ///   - fileOffset: in bytes, where reading starts.
  ///   - byteCount: how many bytes.
  ///   - address: where they go.
  /// - Throws: `GuestMemoryError.notRAM` before anything is read; `.fileEnded` or `.system` when
  ///   part of the bytes may have changed.
  public func readFile(
    descriptor: Int32, fileOffset: off_t, byteCount: Int, at address: GPA
  ) throws(GuestMemoryError) {
    let piece = GuestMemoryPiece(start: address, byteCount: byteCount)
    try transfer("pread", fileOffset, [piece]) { part, offset in
      // Part of one piece is one piece.
      let result = unsafe writing(at: part[0].start, part[0].byteCount) { bytes in
        // SAFETY: the kernel writes at most bytes.count bytes.
        let result = unsafe pread(descriptor, bytes.baseAddress, bytes.count, offset)
        return result < 0 ? -Int(errno) : result
      }
      guard let result else { preconditionFailure("\(part) is no RAM any more") }
      return result
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
  /// - Throws: `GuestMemoryError.notRAM` before anything is written; `.fileEnded` if the file takes
  ///   no more; `.system` when part of the bytes may be written.
  public func writeFile(
    descriptor: Int32, fileOffset: off_t, byteCount: Int, at address: GPA
  ) throws(GuestMemoryError) {
    let piece = GuestMemoryPiece(start: address, byteCount: byteCount)
    try transfer("pwrite", fileOffset, [piece]) { part, offset in
      guard let bytes = unsafe bytes(at: part[0].start, part[0].byteCount) else {
        preconditionFailure("\(part) is no RAM any more")
      }
      // SAFETY: the kernel reads at most bytes.count bytes.
      let result = unsafe pwrite(descriptor, bytes.baseAddress, bytes.count, offset)
      return result < 0 ? -Int(errno) : result
    }
  }
}
