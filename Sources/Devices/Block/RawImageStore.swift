internal import Glibc
public import GuestMemory

/// A raw disk image, file or block device: its bytes are the disk's bytes.
///
/// The host's page cache is the disk's volatile write cache; `flush` writes it out. The image is
/// locked while it is open, as QEMU and others lock theirs (`FileLocks`): one machine that writes,
/// or several that only read. Locks are advisory, as all are, and end with the process.
///
/// Under a limit of file sizes (*ulimit -f*) the process must ignore SIGXFSZ, or a guest's write
/// past it ends the process.
public final class RawImageStore: BlockStore {
  /// Bytes of a sector.
  public static let sectorByteCount: UInt64 = 512

  public let isReadOnly: Bool
  private let file: LockedFile

  public var byteCount: UInt64 { file.byteCount }
  private var descriptor: Int32 { file.descriptor }

  /// The locks that the image's file system does not have; nil if it has all.
  public var lockGap: FileLockGap? { file.lockGap }

  /// Opens and locks an image.
  ///
  /// - Parameter isKnownRaw: takes the file for raw, whatever it begins with. Its guest can write
  ///   there what another format begins with.
  /// - Throws: `BlockStoreError.open`, `.locked`, `.kind`, `.foreign`, `.size`.
  public convenience init(
    path: String, isReadOnly: Bool = false, isKnownRaw: Bool = false
  ) throws(BlockStoreError) {
    try self.init(
      path: path, isReadOnly: isReadOnly, isKnownRaw: isKnownRaw, lockCalls: .system)
  }

  /// The same with other system calls for the locks.
  init(
    path: String, isReadOnly: Bool = false, isKnownRaw: Bool = false, lockCalls: FileLockCalls
  ) throws(BlockStoreError) {
    let foreign: ForeignImage?
    do {
      file = try LockedFile(path: path, isReadOnly: isReadOnly, lockCalls: lockCalls)
      foreign = isKnownRaw ? nil : try ForeignImage.find(in: file)
    } catch {
      switch error {
      case .locked: throw .locked(path: path, isReadOnly: isReadOnly)
      case .kind: throw .kind(path: path)
      case .system(let operation, let errno):
        throw .open(path: path, operation: operation, errno: errno)
      }
    }
    if let foreign { throw .foreign(path: path, foreign) }
    guard file.byteCount > 0, file.byteCount % Self.sectorByteCount == 0 else {
      throw .size(path: path, byteCount: file.byteCount)
    }
    self.isReadOnly = isReadOnly
  }

  public func read(
    at offset: UInt64, byteCount: Int, into memory: GuestMemory, at address: GPA
  ) throws(BlockStoreError) {
    let piece = GuestMemoryPiece(start: address, byteCount: byteCount)
    try read(at: offset, into: memory, at: [piece])
  }

  public func write(
    at offset: UInt64, byteCount: Int, from memory: GuestMemory, at address: GPA
  ) throws(BlockStoreError) {
    let piece = GuestMemoryPiece(start: address, byteCount: byteCount)
    try write(at: offset, from: memory, at: [piece])
  }

  public func read(
    at offset: UInt64, into memory: GuestMemory, at pieces: [GuestMemoryPiece]
  ) throws(BlockStoreError) {
    do {
      try memory.readFile(
        descriptor: descriptor, fileOffset: off_t(clamping: offset), into: pieces)
    } catch {
      throw .transfer(offset: offset, error)
    }
  }

  public func write(
    at offset: UInt64, from memory: GuestMemory, at pieces: [GuestMemoryPiece]
  ) throws(BlockStoreError) {
    guard !isReadOnly else { throw .readOnly }
    do {
      try memory.writeFile(
        descriptor: descriptor, fileOffset: off_t(clamping: offset), from: pieces)
    } catch {
      throw .transfer(offset: offset, error)
    }
  }

  public func flush() throws(BlockStoreError) {
    guard !isReadOnly else { return }
    try reporting(at: 0, byteCount) { () throws(LockedFile.Failure) in try file.flush() }
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
      try reporting(at: offset, byteCount) { () throws(LockedFile.Failure) in
        // Only the last piece may be shorter, and a copy.
        try file.write(
          count == zeroes.count ? zeroes : Array(zeroes[..<count]), at: offset + done)
      }
      done += UInt64(count)
    }
  }

  /// Runs `body`, giving the file's failures as the disk's.
  private func reporting(
    at offset: UInt64, _ byteCount: UInt64, _ body: () throws(LockedFile.Failure) -> Void
  ) throws(BlockStoreError) {
    do {
      try body()
    } catch {
      guard case .system(let operation, let errno) = error else {
        preconditionFailure("\(error) of an open disk image")
      }
      throw .system(operation: operation, offset: offset, byteCount: byteCount, errno: errno)
    }
  }
}
