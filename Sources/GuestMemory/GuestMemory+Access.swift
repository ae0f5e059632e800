internal import Bytes
internal import Glibc
internal import Synchronization

// Reads and writes of bytes and integers. Each copies: what the guest changes meanwhile changes
// either the copy's source before, or nothing of the copy after.
extension GuestMemory {
  /// Copies bytes at `address` into all of `bytes`.
  ///
  /// Any thread. No bytes at an address in RAM is a success.
  ///
  /// - Throws: `GuestMemoryError.notRAM`; nothing is copied then.
  public func read(at address: GPA, into bytes: inout MutableRawSpan) throws(GuestMemoryError) {
    let byteCount = bytes.byteCount
    guard let source = unsafe self.bytes(at: address, byteCount) else {
      throw .notRAM(address, byteCount: byteCount)
    }
    // SAFETY: both have byteCount bytes; the span is the caller's alone, so they do not overlap
    // unless it was lent by `withMutableBytes`, and memmove allows that.
    unsafe bytes.withUnsafeMutableBytes { target in
      guard let target = target.baseAddress, let source = source.baseAddress else { return }
      unsafe memmove(target, source, byteCount)
    }
  }

  /// A copy of `byteCount` bytes at `address`.
  ///
  /// Any thread. Memory for the copy is allocated only if the bytes are RAM; a count that the guest
  /// chose must be bounded by the caller nevertheless.
  ///
  /// - Throws: `GuestMemoryError.notRAM`.
  public func read(at address: GPA, byteCount: Int) throws(GuestMemoryError) -> [UInt8] {
    guard let source = unsafe bytes(at: address, byteCount) else {
      throw .notRAM(address, byteCount: byteCount)
    }
    return unsafe Array(source)
  }

  /// Appends a copy of `byteCount` bytes at `address` to `bytes`; nothing is allocated where there
  /// is room.
  ///
  /// Any thread.
  ///
  /// - Throws: `GuestMemoryError.notRAM`; nothing is appended then.
  public func append(
    at address: GPA, byteCount: Int, to bytes: inout [UInt8]
  ) throws(GuestMemoryError) {
    guard let source = unsafe self.bytes(at: address, byteCount) else {
      throw .notRAM(address, byteCount: byteCount)
    }
    // SAFETY: the mapping lives as long as self.
    unsafe bytes.append(contentsOf: UnsafeRawBufferPointer(source))
  }

  /// The little-endian integer at `address`, which need not be aligned.
  ///
  /// Any thread. Not atomic: a value the guest is just writing may be torn. Integers of at most 64
  /// bits.
  ///
  /// - Throws: `GuestMemoryError.notRAM`.
  // Inlinable: generic code that is not specialised for its caller in another module costs hundreds
  // of instructions, four times for each hypercall of the userspace transport (`measure exits`).
  @inlinable
  public func load<T: FixedWidthInteger & BitwiseCopyable>(
    at address: GPA, as type: T.Type = T.self
  ) throws(GuestMemoryError) -> T {
    T(truncatingIfNeeded: try loadLE(at: address, byteCount: MemoryLayout<T>.size))
  }

  /// The little-endian value of `byteCount` bytes, 1, 2, 4 or 8.
  @usableFromInline
  func loadLE(at address: GPA, byteCount: Int) throws(GuestMemoryError) -> UInt64 {
    guard let source = unsafe bytes(at: address, byteCount) else {
      throw .notRAM(address, byteCount: byteCount)
    }
    return unsafe UnsafeRawBufferPointer(source).loadLE(byteCount: byteCount)
  }

  /// Lends `byteCount` bytes at `address` for reading without a copy.
  ///
  /// The guest may change them under the span: check only what was copied from it. The span is
  /// valid in `body` only.
  ///
  /// - Returns: what `body` returns; nil, without calling it, if the bytes are not all RAM of one
  ///   region.
  /// - Throws: what `body` throws.
  public func withBytes<R: ~Copyable, E: Error>(
    at address: GPA, byteCount: Int, _ body: (RawSpan) throws(E) -> R
  ) throws(E) -> R? {
    guard let bytes = unsafe bytes(at: address, byteCount) else { return nil }
    // SAFETY: the mapping lives as long as self, which outlives the call.
    return try unsafe body(bytes.bytes)
  }

  /// Writes all of `bytes` at `address`, marked as touched before.
  ///
  /// Any thread.
  ///
  /// - Throws: `GuestMemoryError.notRAM`; nothing is written or marked then.
  public func write(_ bytes: RawSpan, at address: GPA) throws(GuestMemoryError) {
    let byteCount = bytes.byteCount
    let done: Void? = unsafe writing(at: address, byteCount) { target in
      // SAFETY: both have byteCount bytes; memmove allows a span lent by this memory.
      unsafe bytes.withUnsafeBytes { source in
        guard let target = target.baseAddress, let source = source.baseAddress else { return }
        unsafe memmove(target, source, byteCount)
      }
    }
    guard done != nil else { throw .notRAM(address, byteCount: byteCount) }
  }

  /// Writes all of `bytes` at `address`; as `write(_:at:)` of a span.
  ///
  /// - Throws: `GuestMemoryError.notRAM`; nothing is written or marked then.
  public func write(_ bytes: [UInt8], at address: GPA) throws(GuestMemoryError) {
    // SAFETY: an integer has no padding, so every byte is initialised.
    try unsafe write(bytes.span.bytes, at: address)
  }

  /// Writes a little-endian integer at `address`, which need not be aligned; marked as touched
  /// before.
  ///
  /// Any thread. Not atomic: a guest that reads meanwhile may see a torn value. Integers of at most
  /// 64 bits.
  ///
  /// - Throws: `GuestMemoryError.notRAM`; nothing is written or marked then.
  @inlinable
  public func store<T: FixedWidthInteger & BitwiseCopyable>(
    _ value: T, at address: GPA
  ) throws(GuestMemoryError) {
    try storeLE(
      UInt64(truncatingIfNeeded: value), at: address, byteCount: MemoryLayout<T>.size)
  }

  /// Writes the low `byteCount` bytes of `value`, 1, 2, 4 or 8.
  @usableFromInline
  func storeLE(_ value: UInt64, at address: GPA, byteCount: Int) throws(GuestMemoryError) {
    let done: Void? = unsafe writing(at: address, byteCount) { target in
      unsafe target.storeLE(value, byteCount: byteCount)
    }
    guard done != nil else { throw .notRAM(address, byteCount: byteCount) }
  }

  /// Writes `byteCount` bytes of `value` at `address`, marked as touched before, even if zero.
  ///
  /// Any thread. To make memory zero and reportable again, discard it instead.
  ///
  /// - Throws: `GuestMemoryError.notRAM`; nothing is written or marked then.
  public func fill(
    at address: GPA, byteCount: Int, with value: UInt8
  ) throws(GuestMemoryError) {
    let done: Void? = unsafe writing(at: address, byteCount) { target in
      guard let target = target.baseAddress else { return }
      // SAFETY: target has byteCount bytes, which `writing` checked to be 0 or more.
      unsafe memset(target, Int32(value), byteCount)
    }
    guard done != nil else { throw .notRAM(address, byteCount: byteCount) }
  }

  /// Sets bits of the little-endian 8 bytes at `address`, a multiple of 8, as one step that no
  /// other processor comes between; marked as touched before. A full barrier. Any thread.
  ///
  /// - Returns: what the bytes were before.
  /// - Throws: `GuestMemoryError.notRAM`.
  package func setBits(_ bits: UInt64, at address: GPA) throws(GuestMemoryError) -> UInt64 {
    precondition(address.rawValue % 8 == 0, "an atomic word at \(address)")
    let old: UInt64? = unsafe writing(at: address, 8) { target in
      guard let target = target.baseAddress else { return 0 }
      // SAFETY: 8 aligned bytes, as regions begin on pages; an `Atomic<UInt64>` has the layout of
      // its integer, and the mapping lives as long as self.
      return unsafe target.assumingMemoryBound(to: Atomic<UInt64>.self).pointee
        .bitwiseOr(bits, ordering: .sequentiallyConsistent).oldValue
    }
    guard let old else { throw .notRAM(address, byteCount: 8) }
    return old
  }

  /// Lends `byteCount` bytes at `address` for writing, marked as touched before.
  ///
  /// The only way to mutable guest memory. The guest may use and change the bytes under the span;
  /// it is valid in `body` only. A `discard` waits while `body` runs, so `body` should not wait
  /// long and must not call `discard`. Other writes may be nested.
  ///
  /// - Returns: what `body` returns; nil, without calling it or marking anything, if the bytes are
  ///   not all RAM of one region: the guest's fault, so a result and not an error.
  /// - Throws: what `body` throws; the bytes stay marked.
  public func withMutableBytes<R: ~Copyable, E: Error>(
    at address: GPA, byteCount: Int, _ body: (inout MutableRawSpan) throws(E) -> R
  ) throws(E) -> R? {
    try unsafe writing(at: address, byteCount) { (bytes) throws(E) -> R in
      // SAFETY: the mapping lives as long as self, which outlives the call.
      var span = unsafe bytes.mutableBytes
      return try body(&span)
    }
  }
}

extension GuestMemory {
  /// The little-endian 8 bytes at `address`; nil if they are not all RAM.
  ///
  /// What `load` gives, by the shortest way: a walk of page tables loads several for each hypercall
  /// of the userspace transport (`measure exits`). Any thread. Not atomic.
  package func word(at address: GPA) -> UInt64? {
    guard let bytes = unsafe bytes(at: address, 8) else { return nil }
    // SAFETY: 8 bytes, as asked for.
    return unsafe UnsafeRawBufferPointer(bytes).loadLE(byteCount: 8)
  }
}
