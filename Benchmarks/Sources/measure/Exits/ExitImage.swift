import BenchmarkGuests

/// The guest program of exits with its orders.
struct ExitImage {
  private(set) var bytes: [UInt8]

  /// - Parameters:
  ///   - count: exits in a round.
  ///   - address: the port, the GPA, or the hypercall's input value.
  ///   - enablesPage: whether it asks for the hypercall page, or finds it in place.
  init(_ kind: ExitKind, count: Int, address: UInt64, enablesPage: Bool) {
    // SAFETY: start and length of one constant object.
    unsafe bytes = Array(
      UnsafeBufferPointer(start: guest_exits_bytes(), count: guest_exits_byte_count()))
    store(UInt64(kind.code), at: Int(EXITS_ORDER_KIND), byteCount: 4)
    store(UInt64(count), at: Int(EXITS_ORDER_COUNT), byteCount: 4)
    store(address, at: Int(EXITS_ORDER_ADDRESS), byteCount: 8)
    store(enablesPage ? 1 : 0, at: Int(EXITS_ORDER_ENABLES_PAGE), byteCount: 8)
  }

  private mutating func store(_ value: UInt64, at offset: Int, byteCount: Int) {
    for index in 0..<byteCount {
      bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index))
    }
  }
}
