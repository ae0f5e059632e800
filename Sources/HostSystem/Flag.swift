internal import Synchronization

/// Something that has happened, or has not yet. Any thread.
///
/// As `Atomic<Bool>` in a closure or a class, but for its end: to end that one the runtime looks up
/// a generic type and what it conforms to, which is a tenth of the start of a small machine.
///
/// Sendable: the value is made once, changed by atomic operations only, and there as long as self.
@safe
package final class Flag: @unchecked Sendable {
  private let value: UnsafeMutablePointer<Atomic<Bool>>

  package init() {
    unsafe value = .allocate(capacity: 1)
    // SAFETY: one was allocated.
    unsafe value.initialize(to: Atomic(false))
  }

  deinit {
    // SAFETY: allocated in `init`. A Boolean needs no deinitialisation.
    unsafe value.deallocate()
  }

  /// It has happened. What this thread wrote before is seen by whoever finds it raised.
  package func raise() {
    // SAFETY: there as long as self.
    unsafe value.pointee.store(true, ordering: .releasing)
  }

  package var isRaised: Bool {
    // SAFETY: as above.
    unsafe value.pointee.load(ordering: .acquiring)
  }
}
