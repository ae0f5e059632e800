public import Synchronization

/// A fixed number of atomic 64-bit words: the storage of the touched map.
///
/// Sendable: the pointer never changes after `init`, every access to what it points to is atomic,
/// and the memory is freed by the last owner.
@safe
@usableFromInline
final class AtomicWords: @unchecked Sendable {
  let count: Int
  @usableFromInline let base: UnsafeMutablePointer<Atomic<UInt64>>

  /// `count` words, all 0.
  init(count: Int) {
    precondition(count > 0, "\(count) atomic words")
    self.count = count
    unsafe base = .allocate(capacity: count)
    for index in 0..<count {
      // SAFETY: index < count, the capacity allocated above.
      unsafe (base + index).initialize(to: Atomic(0))
    }
  }

  deinit {
    // SAFETY: all `count` words were initialised by init; no other owner holds the pointer.
    unsafe base.deinitialize(count: count)
    unsafe base.deallocate()
  }

  /// Lends the words for the time of the call.
  ///
  /// Inlined always: a pass over the map must see plain loads, not a closure call.
  @inline(__always)
  func withWords<R: ~Copyable, E: Error>(
    _ body: (Span<Atomic<UInt64>>) throws(E) -> R
  ) throws(E) -> R {
    // SAFETY: `count` initialised words live as long as self, which outlives the call.
    let span = unsafe Span(_unsafeStart: base, count: count)
    return try body(span)
  }
}

/// A run of bit numbers cut at the 64-bit words it crosses: each word with the mask of its bits.
struct BitPieces: Sequence, IteratorProtocol {
  private var position: Int
  private let end: Int

  init(_ bits: Range<Int>) {
    position = bits.lowerBound
    end = bits.upperBound
  }

  mutating func next() -> (word: Int, mask: UInt64)? {
    guard position < end else { return nil }
    let word = position / 64
    let low = position % 64
    let high = Swift.min(64, end - word * 64)
    position = word * 64 + high
    // high - low is 1...64, so the shift is 0...63.
    return (word, (UInt64.max >> UInt64(64 - (high - low))) << UInt64(low))
  }
}
