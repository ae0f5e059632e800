internal import CLinux
internal import Synchronization

/// An atomic word that threads can sleep on until it changes (futex(2)).
///
/// Sleepers are woken by `wake` alone, never by a store. Why no wake-up is lost: a sleeper loads
/// the word, decides by what it found that it has to wait, and passes that value on; the kernel
/// compares it with the word under the lock that `wake` takes. So a thread that changes the word
/// and then wakes either changed it before the comparison, and the sleeper returns at once, or
/// finds the sleeper and wakes it. Waits also end early, for signals and late wake-ups: every wait
/// is in a loop that looks again.
///
/// Sendable: the memory is there as long as self, and atomic operations alone change it. A pointer,
/// because the kernel needs the word's address, which Swift promises for no stored property.
@safe
package struct FutexWord: ~Copyable, @unchecked Sendable {
  private let word: UnsafeMutablePointer<Atomic<UInt32>>

  package init(_ value: UInt32 = 0) {
    unsafe word = .allocate(capacity: 1)
    unsafe word.initialize(to: Atomic(value))
  }

  deinit {
    // An integer needs no deinitialisation.
    unsafe word.deallocate()
  }

  // Sequentially consistent, all of them: a load is a plain move all the same on x86-64, and no
  // change of the word is on a path that counts.

  /// What the word is now.
  @inline(__always)
  package func load() -> UInt32 {
    // SAFETY: initialised above, there as long as self. So it is in those below.
    unsafe word.pointee.load(ordering: .sequentiallyConsistent)
  }

  /// Adds, wrapping, and returns the sum.
  @discardableResult
  package func add(_ value: UInt32) -> UInt32 {
    unsafe word.pointee.wrappingAdd(value, ordering: .sequentiallyConsistent).newValue
  }

  /// Sets bits, and returns what the word was before.
  @discardableResult
  package func set(_ bits: UInt32) -> UInt32 {
    unsafe word.pointee.bitwiseOr(bits, ordering: .sequentiallyConsistent).oldValue
  }

  /// Clears bits, and returns what the word was before.
  @discardableResult
  package func clear(_ bits: UInt32) -> UInt32 {
    unsafe word.pointee.bitwiseAnd(~bits, ordering: .sequentiallyConsistent).oldValue
  }

  /// Changes the word if it is `expected`.
  ///
  /// - Returns: nil if it was; else what it was.
  package func exchange(_ expected: UInt32, for value: UInt32) -> UInt32? {
    let (isDone, found) = unsafe word.pointee.compareExchange(
      expected: expected, desired: value, ordering: .sequentiallyConsistent)
    return isDone ? nil : found
  }

  /// Sleeps while the word is `expected`, for `limit` at most; nil is for ever. May return early.
  package func wait(while expected: UInt32, limit: Duration? = nil) {
    unsafe clinux_futex_wait(address, expected, limit.map(Self.nanoseconds) ?? -1)
  }

  /// Wakes one thread that sleeps on the word, if there is one.
  package func wakeOne() {
    unsafe clinux_futex_wake(address, 1)
  }

  /// Wakes all threads that sleep on the word.
  package func wakeAll() {
    unsafe clinux_futex_wake(address, .max)
  }

  private var address: UnsafePointer<UInt32> {
    // SAFETY: an `Atomic<UInt32>` has the layout of its integer; the kernel accesses it atomically.
    unsafe UnsafeRawPointer(word).assumingMemoryBound(to: UInt32.self)
  }

  /// Never negative, at most a day.
  private static func nanoseconds(_ limit: Duration) -> Int64 {
    let limit = min(max(limit, .zero), .seconds(86_400))
    let (seconds, attoseconds) = limit.components
    return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
  }
}
