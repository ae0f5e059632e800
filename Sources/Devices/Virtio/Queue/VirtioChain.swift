internal import DeviceKit
package import GuestMemory

/// The buffers of one request, in order: what the device reads, then what it writes. All are RAM.
///
/// A device keeps one and has it filled again and again, so that a request costs no allocation.
package struct VirtioChain: Sendable {
  /// What the driver knows the request by, and how many entries of a packed ring it takes.
  var identifier: UInt16 = 0
  var entryCount: UInt16 = 1
  /// What the device reads.
  package private(set) var readable: [GuestMemoryPiece] = []
  /// What the device writes.
  package private(set) var writable: [GuestMemoryPiece] = []
  /// Bytes of each. A chain has few pieces, each below 4 GiB: no sum wraps.
  package private(set) var readableByteCount = 0
  package private(set) var writableByteCount = 0
  private var descriptorCount = 0

  /// A chain without buffers.
  package init() {}

  /// Begins again, for the next request.
  mutating func clear() {
    readable.removeAll(keepingCapacity: true)
    writable.removeAll(keepingCapacity: true)
    (readableByteCount, writableByteCount, descriptorCount) = (0, 0, 0)
  }

  /// Takes one descriptor's buffer; one without bytes counts, and brings nothing.
  ///
  /// - Parameter limit: the most descriptors of a chain.
  mutating func append(
    _ descriptor: VirtqueueDescriptor, limit: Int, _ memory: GuestMemory
  ) throws(VirtqueueFault) {
    guard descriptorCount < limit else { throw .tooLong }
    descriptorCount += 1
    let byteCount = Int(descriptor.byteCount)
    guard byteCount > 0 else { return }
    let piece = GuestMemoryPiece(start: GPA(descriptor.address), byteCount: byteCount)
    guard memory.isRAM(piece.start, byteCount: byteCount) else { throw .notRAM }
    if descriptor.flags.contains(.write) {
      writable.append(piece)
      writableByteCount += byteCount
    } else {
      guard writable.isEmpty else { throw .badOrder }
      readable.append(piece)
      readableByteCount += byteCount
    }
  }

  /// Calls `body` with what the device reads, piece by piece, except the first `offset` bytes.
  ///
  /// - Parameter limit: the most bytes.
  func forEachReadable(
    from offset: Int = 0, limit: Int = .max,
    _ body: (GuestMemoryPiece) throws(VirtqueueFault) -> Void
  ) throws(VirtqueueFault) {
    var (skipped, left) = (offset, limit)
    for piece in readable where left > 0 {
      guard skipped < piece.byteCount else {
        skipped -= piece.byteCount
        continue
      }
      guard let start = piece.start.advanced(by: UInt64(skipped)) else { throw .notRAM }
      let count = min(piece.byteCount - skipped, left)
      try body(GuestMemoryPiece(start: start, byteCount: count))
      (skipped, left) = (0, left - count)
    }
  }

  /// Appends what the device reads to `bytes`, except the first `offset` bytes.
  ///
  /// The caller has looked at `readableByteCount`, which the driver chooses, or sets a limit.
  ///
  /// - Parameter limit: the most bytes.
  package func read(
    from offset: Int = 0, limit: Int = .max, into bytes: inout [UInt8], _ memory: GuestMemory
  ) throws(VirtqueueFault) {
    try forEachReadable(from: offset, limit: limit) { (piece) throws(VirtqueueFault) in
      do {
        try memory.append(at: piece.start, byteCount: piece.byteCount, to: &bytes)
      } catch {
        throw .notRAM
      }
    }
  }

  /// Copies bytes into what the device writes, from a byte of it on.
  ///
  /// - Returns: how many: all, or as many as there is room for.
  @discardableResult
  package func write(_ bytes: RawSpan, at offset: Int = 0, _ memory: GuestMemory) -> Int {
    var (skipped, done) = (offset, 0)
    for piece in writable where done < bytes.byteCount {
      if skipped >= piece.byteCount {
        skipped -= piece.byteCount
        continue
      }
      let count = min(piece.byteCount - skipped, bytes.byteCount - done)
      guard let start = piece.start.advanced(by: UInt64(skipped)),
        (try? memory.write(bytes.extracting(done..<(done + count)), at: start)) != nil
      else { return done }
      (skipped, done) = (0, done + count)
    }
    return done
  }
}

extension VirtioChain {
  /// Of a chain that the device has, what the answer needs: its buffers are not kept.
  ///
  /// - Parameter entryCount: those of the ring, at least 1.
  mutating func transfer(
    _ transfer: inout StateTransfer, entryCount limit: UInt16
  ) throws(StateError) {
    try transfer.integer(&identifier)
    try transfer.integer(&entryCount, in: 1...limit)
  }
}
