internal import Glibc
public import GuestMemory

/// A raw disk image, file or block device: its bytes are the disk's bytes.
///
/// The host's page cache is the disk's volatile write cache; `flush` writes it out. The image is locked
/// (*flock*) while it is open: one machine that writes, or several that only read. The lock is advisory,
/// as all are, and ends with the process.
public final class RawImageStore: BlockStore {
  /// Bytes of a sector.
  public static let sectorByteCount: UInt64 = 512

  public let byteCount: UInt64
  public let isReadOnly: Bool
  private let descriptor: Int32

  /// Opens and locks an image.
  ///
  /// - Throws: `BlockStoreError.open`, `.locked`, `.kind`, `.size`.
  public init(path: String, isReadOnly: Bool = false) throws(BlockStoreError) {
    let flags = (isReadOnly ? O_RDONLY : O_RDWR) | O_CLOEXEC
    let descriptor = unsafe Glibc.open(path, flags)
    guard descriptor >= 0 else {
      throw .open(path: path, operation: "open", errno: errno)
    }
    do {
      byteCount = try Self.prepare(descriptor, path: path, isReadOnly: isReadOnly)
    } catch {
      _ = close(descriptor)
      throw error
    }
    self.descriptor = descriptor
    self.isReadOnly = isReadOnly
  }

  deinit {
    _ = close(descriptor)
  }

  /// Checks and locks; gives the size.
  private static func prepare(
    _ descriptor: Int32, path: String, isReadOnly: Bool
  ) throws(BlockStoreError) -> UInt64 {
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else {
      throw .open(path: path, operation: "fstat", errno: errno)
    }
    let kind = status.st_mode & S_IFMT
    guard kind == S_IFREG || kind == S_IFBLK else { throw .kind(path: path) }
    guard flock(descriptor, (isReadOnly ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0 else {
      let error = errno
      if error == EWOULDBLOCK { throw .locked(path: path, isReadOnly: isReadOnly) }
      throw .open(path: path, operation: "flock", errno: error)
    }
    // fstat tells no size of a block device; its end does.
    let end = lseek(descriptor, 0, SEEK_END)
    guard end >= 0 else { throw .open(path: path, operation: "lseek", errno: errno) }
    guard end > 0, UInt64(end) % sectorByteCount == 0 else {
      throw .size(path: path, byteCount: UInt64(end))
    }
    return UInt64(end)
  }

  public func read(
    at offset: UInt64, byteCount: Int, into memory: GuestMemory, at address: GPA
  ) throws(BlockStoreError) {
    do {
      try memory.readFile(
        descriptor: descriptor, fileOffset: off_t(clamping: offset), byteCount: byteCount,
        at: address)
    } catch {
      throw .transfer(offset: offset, error)
    }
  }

  public func write(
    at offset: UInt64, byteCount: Int, from memory: GuestMemory, at address: GPA
  ) throws(BlockStoreError) {
    guard !isReadOnly else { throw .readOnly }
    do {
      try memory.writeFile(
        descriptor: descriptor, fileOffset: off_t(clamping: offset), byteCount: byteCount,
        at: address)
    } catch {
      throw .transfer(offset: offset, error)
    }
  }

  public func flush() throws(BlockStoreError) {
    guard !isReadOnly else { return }
    while fdatasync(descriptor) != 0 {
      let error = errno
      if error == EINTR { continue }
      throw .system(operation: "fdatasync", offset: 0, byteCount: byteCount, errno: error)
    }
  }

  public func discard(at offset: UInt64, byteCount: UInt64) throws(BlockStoreError) {
    // Where there are no holes nothing happens: zeroes by hand would fill the disk instead.
    _ = try zero(at: offset, byteCount, [.punchHole])
  }

  public func writeZeroes(
    at offset: UInt64, byteCount: UInt64, mayDiscard: Bool
  ) throws(BlockStoreError) {
    let modes: [FileAllocation] = mayDiscard ? [.punchHole, .zeroRange] : [.zeroRange]
    if try !zero(at: offset, byteCount, modes) { try writeZeroBytes(at: offset, byteCount) }
  }

  /// Applies the first of `modes` that the file system knows; false if it knows none.
  private func zero(
    at offset: UInt64, _ byteCount: UInt64, _ modes: [FileAllocation]
  ) throws(BlockStoreError) -> Bool {
    guard !isReadOnly else { throw .readOnly }
    guard byteCount > 0 else { return true }
    for mode in modes {
      switch mode.apply(descriptor, offset: offset, byteCount: byteCount) {
      case 0: return true
      case EOPNOTSUPP, ENOSYS: continue
      case let error:
        throw .system(
          operation: mode.name, offset: offset, byteCount: byteCount, errno: error)
      }
    }
    return false
  }

  private func writeZeroBytes(at offset: UInt64, _ byteCount: UInt64) throws(BlockStoreError) {
    let zeroes = [UInt8](repeating: 0, count: 64 << 10)
    var done: UInt64 = 0
    while done < byteCount {
      let count = Int(min(byteCount - done, UInt64(zeroes.count)))
      // SAFETY: the kernel reads count bytes, of which zeroes has at least as many.
      let result = unsafe zeroes.withUnsafeBytes {
        unsafe pwrite(descriptor, $0.baseAddress, count, off_t(clamping: offset + done))
      }
      if result > 0 {
        done += UInt64(result)
        continue
      }
      let error = result == 0 ? ENOSPC : errno
      if error == EINTR { continue }
      throw .system(operation: "pwrite", offset: offset, byteCount: byteCount, errno: error)
    }
  }
}
