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
  /// The largest logical blocks that disks have, less one.
  private static let hostBlockMask: UInt64 = 4095

  public let isReadOnly: Bool
  public let sectorByteCount: UInt64
  let file: LockedFile
  let path: HostPath
  private let allocate: FileAllocation.Call

  public var byteCount: UInt64 { file.byteCount }
  private var descriptor: Int32 { file.descriptor }

  /// The locks that the image's file system does not have; nil if it has all.
  public var lockGap: FileLockGap? { file.lockGap }

  /// Opens and locks an image.
  ///
  /// - Parameters:
  ///   - isLocked: false for a machine that still is in another process, which has the locks: then
  ///     `takeUp` locks it.
  ///   - isKnownRaw: takes the file for raw, whatever it begins with. Its guest can write
  ///     there what another format begins with.
  ///   - sectorByteCount: 512 or 4096; 2048 for an optical medium.
  /// - Throws: `BlockStoreError.open`, `.locked`, `.kind`, `.foreign`, `.size`.
  public convenience init(
    path: HostPath, isReadOnly: Bool = false, isLocked: Bool = true, isKnownRaw: Bool = false,
    sectorByteCount: UInt64 = 512
  ) throws(BlockStoreError) {
    try self.init(
      path: path, isReadOnly: isReadOnly, isLocked: isLocked, isKnownRaw: isKnownRaw,
      sectorByteCount: sectorByteCount, allocate: FileAllocation.systemCall)
  }

  /// The same, by a path that is text.
  public convenience init(
    path: String, isReadOnly: Bool = false, isKnownRaw: Bool = false,
    sectorByteCount: UInt64 = 512
  ) throws(BlockStoreError) {
    try self.init(
      path: HostPath(path), isReadOnly: isReadOnly, isKnownRaw: isKnownRaw,
      sectorByteCount: sectorByteCount)
  }

  /// An image of a CD or DVD, which is only read.
  ///
  /// - Throws: `BlockStoreError.open`, `.locked`, `.kind`, `.foreignMedium`, `.size`.
  public static func opticalMedium(path: HostPath) throws(BlockStoreError) -> RawImageStore {
    do throws(BlockStoreError) {
      return try RawImageStore(
        path: path, isReadOnly: true, sectorByteCount: OpticalDrive.blockByteCount)
    } catch .foreign(let path, let image) where !image.isOpticalMedium {
      throw .foreignMedium(path: path, image)
    } catch .foreign {
      return try RawImageStore(
        path: path, isReadOnly: true, isKnownRaw: true,
        sectorByteCount: OpticalDrive.blockByteCount)
    }
  }

  /// The same with other system calls.
  init(
    path: HostPath, isReadOnly: Bool = false, isLocked: Bool = true, isKnownRaw: Bool = false,
    sectorByteCount: UInt64 = 512, lockCalls: FileLockCalls = .system,
    allocate: @escaping FileAllocation.Call = FileAllocation.systemCall
  ) throws(BlockStoreError) {
    let foreign: ForeignImage?
    do {
      file = try LockedFile(
        path: path, isReadOnly: isReadOnly, isLocked: isLocked, lockCalls: lockCalls)
      foreign = isKnownRaw ? nil : try ForeignImage.find(in: file)
    } catch {
      throw error.ofDisk(path: path.description, isReadOnly: isReadOnly)
    }
    if let foreign { throw .foreign(path: path.description, foreign) }
    guard file.byteCount > 0, file.byteCount % sectorByteCount == 0 else {
      throw .size(
        path: path.description, byteCount: file.byteCount, sectorByteCount: sectorByteCount)
    }
    self.sectorByteCount = sectorByteCount
    self.isReadOnly = isReadOnly
    self.allocate = allocate
    self.path = path
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
    guard !isReadOnly else { throw .readOnly }
    // A hint. Zeroes by hand would fill the host's disk instead, and a call that fails, for
    // whatever reason, has changed nothing that the guest may count on.
    _ = zero(offset..<(offset + byteCount), [.punchHole])
  }

  public func writeZeroes(
    at offset: UInt64, byteCount: UInt64, mayDiscard: Bool
  ) throws(BlockStoreError) {
    guard !isReadOnly else { throw .readOnly }
    let modes: [FileAllocation] = mayDiscard ? [.punchHole, .zeroRange] : [.zeroRange]
    // Whether the host can do it at all, writes of zeroes find out: they fail as a guest's writes
    // do.
    for rest in zero(offset..<(offset + byteCount), modes) {
      try writeZeroBytes(at: rest.lowerBound, rest.upperBound - rest.lowerBound)
    }
  }

  /// Zeroes without writing, in the first of `modes` that works.
  ///
  /// It may fail for reasons that do not concern writes: no such operation (*EOPNOTSUPP*), not on
  /// such a file (*EPERM*, *ETXTBSY*), not at these offsets (*EINVAL*: a disk whose blocks are
  /// larger than the guest's takes whole ones only).
  ///
  /// - Returns: what is not zero yet.
  private func zero(_ range: Range<UInt64>, _ modes: [FileAllocation]) -> [Range<UInt64>] {
    guard !range.isEmpty else { return [] }
    for mode in modes {
      let error = allocate(mode, descriptor, range)
      if error == 0 { return [] }
      let start = (range.lowerBound + Self.hostBlockMask) & ~Self.hostBlockMask
      let end = range.upperBound & ~Self.hostBlockMask
      if error == EINVAL, start < end, start..<end != range,
        allocate(mode, descriptor, start..<end) == 0
      {
        return [range.lowerBound..<start, end..<range.upperBound].filter { !$0.isEmpty }
      }
    }
    return [range]
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

extension LockedFile.Failure {
  /// The same of a disk.
  func ofDisk(path: String, isReadOnly: Bool) -> BlockStoreError {
    switch self {
    case .locked: .locked(path: path, isReadOnly: isReadOnly)
    case .kind: .kind(path: path)
    case .system(let operation, let errno): .open(path: path, operation: operation, errno: errno)
    }
  }
}
